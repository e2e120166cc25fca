"""Open answers are marked in a real browser, by the keyboard alone, whatever they hold."""

import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.grading.sample_class import write_class
from zoology_teach.grading import marks
from zoology_teach.grading.grade import load

HOSTILE = [
    "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">",
    "</pre></section></main><style>body { display: none }</style><h1>mine</h1>",
    "{{ 7 * 7 }} {% include 'check.html' %} <!-- ",
    "\x1b[31mred\x1b]0;title\x07 \u202egnp.exe\u2066 \x00 \ud83d",
    "مرحبا، هذا جواب من اليمين",
    "می\u200cخواهم",
    "x" * 10_000_000,
    "",
]
ANSWERS = {
    f"Student {n:02d}": {
        "00.d": HOSTILE[n] if n < len(HOSTILE) else f"The answer of number {n}.\n\nA second line.",
        "02.d": f"Another answer, {n}.",
    }
    for n in range(30)
}


@contextmanager
def marking(out: Path, end: signal.Signals = signal.SIGINT):
    """`zoology-teach mark` in a process of its own: its address, and the process."""
    command = "from zoology_teach.cli import main; main()"
    words = [sys.executable, "-c", command, "mark", str(out)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        found = re.fullmatch(r"mark at (http://127\.0\.0\.1:\d+/[\w-]{32}/)\n", line)
        assert found, line
        yield found[1], process
    finally:
        process.send_signal(end)
        process.wait(timeout=60)
        process.stdout.close()


@pytest.fixture(scope="module")
def browser(playwright, chromium):
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


def begin(page: Page, question: str) -> None:
    """From the overview to the first answer without points, by Tab and Enter."""
    expect(page.locator("h1")).to_have_text("Open answers")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").endswith(f": {question}"):
            page.keyboard.press("Enter")
            return expect(page.locator("h1")).to_contain_text(question)
    raise AssertionError(f"no way to {question} by Tab")


def wanted(number: int) -> marks.Mark:
    """A mark for each student: 0 to 10, with halves; a comment for every third."""
    points = f"{number % 11}" if number % 4 else f"{number % 10}.5"
    return marks.Mark(points, f"Say more, {number}" if number % 3 == 0 else "")


def mark_one(page: Page) -> str:
    """Mark the answer that is shown; the student's name, when the page says that it is stored."""
    who = page.locator("#who bdi").first.inner_text()
    mark = wanted(int(who.split()[1]))
    page.keyboard.type(mark.points)
    if mark.comment:
        page.keyboard.press("c")
        page.keyboard.type(mark.comment)
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text(f"Stored: {who}, {mark}.")
    return who


def on_disk(out: Path) -> dict[tuple[str, str], marks.Mark]:
    """Name and question -> mark, as manual.csv has it."""
    graded = load(out)
    names = {g.key: g.student for g in graded}
    return {(names[k], q): m for (k, q), m in marks.read(out / "manual.csv", graded).items()}


def test_a_class_of_thirty_is_marked_by_keyboard_and_a_kill_loses_nothing(page, tmp_path):
    out = tmp_path / "out"
    write_class(out, ANSWERS)
    done: dict[str, list[str]] = {"00.d": [], "02.d": []}
    started = time.monotonic()
    with marking(out, signal.SIGKILL) as (address, process):
        page.goto(address)
        begin(page, "00.d")
        for _ in range(17):
            done["00.d"].append(mark_one(page))
            assert page.title().startswith("00.d, "), "nothing in an answer runs"
        process.kill()
        assert on_disk(out) == {(who, "00.d"): wanted(int(who[-2:])) for who in done["00.d"]}
        who = page.locator("#who bdi").first.inner_text()
        page.keyboard.type("7")
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_contain_text("Not stored: no answer from zoology-teach")
        assert page.locator("#points").input_value() == "7", "what was typed stays"
        page.once("dialog", lambda dialog: dialog.accept())
    with marking(out) as (address, _):
        page.goto(address)
        begin(page, "00.d")
        assert page.locator("#who bdi").first.inner_text() == who, "the first that is not marked"
        for question, others in (("00.d", 13), ("02.d", 30)):
            if question == "02.d":
                begin(page, question)
            done[question] += [mark_one(page) for _ in range(others)]
        expect(page.locator("h1")).to_have_text("Open answers")
        assert page.locator(".count").all_inner_texts() == ["30 of 30 marked"] * 2
    print(f"60 marks in {time.monotonic() - started:.0f} s")
    assert all(sorted(names) == sorted(ANSWERS) for names in done.values()), "everybody once"
    everything = {(who, q): wanted(int(who[-2:])) for q, names in done.items() for who in names}
    assert on_disk(out) == everything
    (one,) = [g for g in load(out) if g.student == "Student 03"]
    feedback = (out / "feedback" / f"{one.key}.html").read_text()
    assert "3 of 10" in feedback and "Say more, 3" in feedback
    total = sum(float(wanted(3).points) for _ in done)
    (row,) = [r for r in (out / "grades.csv").read_text().splitlines() if "Student 03" in r]
    assert f",{total:g},,ok" in row


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_answer_is_text(page, served, number):
    page.goto(served)
    page.get_by_text("All answers to 00.d").click()
    page.get_by_role("link", name=f"Student {number:02d}").first.click()
    page.wait_for_selector("#answer")
    shown = page.locator("#answer").inner_text()
    escaped = {"\x1b": r"\u001b", "\x07": r"\u0007", "\u202e": r"\u202e", "\u2066": r"\u2066"}
    expected = HOSTILE[number] or "No answer was found in the file that counts."
    for character, visible in {**escaped, "\x00": r"\u0000", "\ud83d": r"\ud83d"}.items():
        expected = expected.replace(character, visible)
    assert shown == expected[:20_000]
    assert page.title().startswith("00.d, ") and page.locator("h1").count() == 1
    assert page.locator("#mark").is_visible()
    if len(expected) > 20_000:
        assert "9,980,000 more characters" in page.locator("main").inner_text()
        with page.context.expect_page() as opened:
            page.keyboard.press("w")
        opened.value.wait_for_load_state()
        whole = opened.value.evaluate("[document.contentType, document.body.innerText.length]")
        assert whole == ["text/plain", 10_000_000]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A class that is being marked; the address of its pages."""
    out = tmp_path_factory.mktemp("served") / "out"
    write_class(out, ANSWERS)
    with marking(out) as (address, _):
        yield address


@pytest.fixture
def out(tmp_path):
    """A small class."""
    write_class(tmp_path / "out", {f"Student {n:02d}": ANSWERS["Student 09"] for n in range(9)})
    return tmp_path / "out"


@pytest.fixture
def fresh(out):
    """A small class that is being marked; the address of its pages."""
    with marking(out) as (address, _):
        yield address


def test_names_are_hidden_on_wish_and_stay_so(page, served):
    page.goto(served)
    page.get_by_role("link", name="Hide names").click()
    begin(page, "02.d")
    seen = set()
    for _ in range(3):
        shown = page.locator("#answer").inner_text()
        seen.add(shown)
        assert "Student" not in page.content() and "student" not in page.url
        page.keyboard.press("n")
        expect(page.locator("#answer")).not_to_have_text(shown)
    assert len(seen) == 3
    page.keyboard.press("h")
    expect(page.locator("#who")).to_contain_text("Student")


def test_undo_takes_back_what_this_tab_gave_and_earlier_comments_are_offered(page, fresh):
    page.goto(fresh)
    begin(page, "02.d")
    first, second = "Student 00", "Student 01"
    page.keyboard.type("10")
    page.keyboard.press("c")
    page.keyboard.type("One negative control is missing")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text(f"Stored: {first}, 10 points")
    page.keyboard.press("r")
    page.keyboard.press("1")
    expect(page.locator("#comment")).to_have_value("One negative control is missing")
    page.keyboard.press("Escape")
    page.keyboard.press("u")  # first what was typed and not stored
    expect(page.locator("#comment")).to_have_value("")
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text(f"Stored: {second}, 4 points")
    for who, had in ((second, "4 points"), (first, "10 points")):
        page.keyboard.press("u")
        expect(page.locator("#said")).to_contain_text(f"Taken back: {who}, {had}")
        expect(page.locator("#who")).to_contain_text(who)
        expect(page.locator("#points")).to_have_value("")
    page.keyboard.press("u")
    expect(page.locator("#said")).to_contain_text("Nothing was stored in this tab")


def test_of_two_browsers_the_second_is_told_and_may_insist(page, browser, fresh):
    other = browser.new_page()
    for tab in (page, other):
        tab.goto(fresh)
        begin(tab, "00.d")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("Stored: Student 00, 3 points")
    other.keyboard.type("9")
    other.keyboard.press("Enter")
    expect(other.locator("#said")).to_contain_text("Not stored: meanwhile it has 3 points")
    expect(other.locator("#points")).to_have_value("9")
    other.keyboard.press("Enter")
    expect(other.locator("#said")).to_contain_text("Stored: Student 00, 9 points")
    page.keyboard.press("u")
    expect(page.locator("#said")).to_contain_text(
        "Not taken back for Student 00: meanwhile it has 9"
    )
    other.keyboard.press("u")
    expect(other.locator("#said")).to_contain_text("It has 3 points again")
    other.close()


def test_keys_pressed_while_a_mark_is_stored_wait_for_the_next_answer(page, out):
    """Ten marks typed without looking up: each goes where it was meant."""
    with marking(out) as (address, _):
        page.goto(address)
        begin(page, "02.d")
        page.keyboard.type("".join(f"{n}\n" for n in range(4)) + "10\n7cToo short\n8\n")
        expect(page.locator("#said")).to_contain_text("Stored: Student 06, 8 points")
    points = [on_disk(out)[f"Student {n:02d}", "02.d"] for n in range(7)]
    assert [m.points for m in points] == ["0", "1", "2", "3", "10", "7", "8"]
    assert [m.comment for m in points] == [""] * 5 + ["Too short", ""]


def test_a_wrong_mark_is_said_and_not_stored(page, served):
    page.goto(served)
    begin(page, "02.d")
    page.locator("#points").focus()
    page.keyboard.type("eleven")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text(
        "Not stored: 02.d \"points\": 'eleven' must be a number, 0 to 10."
    )
    page.once("dialog", lambda dialog: dialog.accept())
