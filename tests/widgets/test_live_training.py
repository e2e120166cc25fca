"""A live training says what it does, why it ended, and what went wrong."""

import math
from dataclasses import replace

import pytest

from zoology_teach.experiments.synthetic_presets import laptop_run
from zoology_teach.tasks.mqar import MQAR
from zoology_teach.training import Stage
from zoology_teach.widgets import LiveTraining
from zoology_teach.widgets.live_training import ABOUT


def live(steps: int, seconds: float = 20.0, **train) -> LiveTraining:
    def make_run(seed: int):
        run = laptop_run("base_conv", 16, 32, seed, steps=steps)
        return replace(run, train=replace(run.train, **train))

    return LiveTraining(make_run, {"seed": range(10)}, first={"seed": 1}, seconds=seconds)


def trained(panel: LiveTraining) -> LiveTraining:
    panel.start()
    panel.wait()
    assert not panel.is_running
    return panel


def test_it_reports_seed_steps_and_accuracy():
    panel = trained(live(steps=20, seconds=600))
    assert panel.status.startswith("BaseConv, d = 16, N = 32, seed 1: accuracy 0.")
    assert "after 20 of 20 steps, to the end" in panel.status
    assert (panel.done, panel.steps) == (20, 20)
    assert panel.result["steps"] == 20 and 0 <= panel.result["accuracy"] <= 1
    assert panel.result["run"].train.seed == 1


def test_its_picture_has_words_and_the_two_plateaus():
    curve = trained(live(steps=20, seconds=600)).curve
    assert [step for step, _ in curve["points"]] == list(range(1, 21))
    last = curve["points"][-1][1]
    assert curve["words"].startswith("Training loss of BaseConv, d = 16, N = 32 against updates")
    assert curve["words"].endswith(f"{last:.2f} at update 20 of 20.")
    assert [level for level, _ in curve["levels"]] == [math.log(256), math.log(4)]
    assert curve["stages"] == []


def test_it_says_what_ended_it():
    asked = live(steps=100_000, seconds=600)
    asked.start()
    asked.stop()
    asked.wait()
    assert "of 100000 steps, stopped by you" in asked.status
    late = trained(live(steps=100_000, seconds=0.2))
    assert "of 100000 steps, stopped by the time limit, 0.2 s" in late.status


def test_it_says_why_it_could_not():
    panel = trained(live(steps=50, lr=1e30))
    assert "could not be trained: lr = 1e+30: the loss is nan" in panel.status


def test_any_exception_is_shown(monkeypatch):
    def make_run(seed):
        return {}[seed]

    panel = LiveTraining(make_run, {"seed": [3]})
    panel.start()
    panel.wait()
    assert panel.status == "This could not be trained: KeyError: 3" and not panel.is_running

    def fail(config):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("zoology_teach.widgets.watched_run.LanguageModel", fail)
    panel = trained(live(steps=5))
    assert panel.status.endswith("This could not be trained: RuntimeError: out of memory")


def test_of_two_runs_only_the_later_is_heard():
    def make_run(width: int):
        return laptop_run("base_conv", width, 32, 0, steps=10 if width == 32 else 100_000)

    panel = LiveTraining(make_run, {"width": [16, 32]}, seconds=600)
    said = []
    panel.observe(lambda change: said.append(change["new"]), "status")
    panel.start()
    first = panel._run
    panel.chosen = [1]
    panel.start()
    second = len(said)
    panel.wait()
    first.join()
    assert "d = 32" in panel.status and "after 10 of 10 steps" in panel.status
    assert not any("d = 16" in text for text in said[second:])
    assert panel.result["run"].model.d_model == 32 and not panel.is_running


def test_lessons_show():
    lessons = (
        Stage(MQAR(16, 2, 256), steps=400, batch_size=8, until=0.01),
        Stage(MQAR(24, 2, 256), steps=3, batch_size=8),
    )
    panel = trained(live(steps=5, seconds=600, before=lessons))
    assert "Lessons: N = 16, K = 2 " in panel.status and "N = 24, K = 2 in 3 steps." in panel.status
    names = [name for _, name in panel.curve["stages"]]
    assert names == ["N = 16, K = 2", "N = 24, K = 2", "the task"]
    begin = [step for step, _ in panel.curve["stages"]]
    assert begin[0] == 1 and begin[2] == begin[1] + 3 and panel.steps == begin[2] + 4


def test_what_is_chosen_elsewhere_is_asked_at_the_click():
    elsewhere = {"width": 16}

    def make_run(**choice):
        raise ValueError(str(sorted(choice.items())))

    panel = LiveTraining(make_run, {"mixer": {"Conv": "base_conv"}}, choice=lambda: elsewhere)
    elsewhere["width"] = 64
    panel.start()
    assert "[('mixer', 'base_conv'), ('width', 64)]" in panel.status


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"controls": {"seed": []}}, r"controls\['seed'\] = \[\]"),
        ({"controls": {"seed": [1]}, "first": {"seed": 2}}, r"first\['seed'\] = 2"),
        ({"controls": {"seed": [1]}, "first": {"width": 2}}, r"first\['width'\] = 2"),
    ],
)
def test_what_does_not_fit_is_refused(options, named):
    with pytest.raises(ValueError, match=named):
        LiveTraining(dict, **options)


def test_where_widgets_are_not_shown_it_is_a_sentence():
    data, _ = LiveTraining(dict, {"seed": range(3)})._repr_mimebundle_()
    assert data["text/plain"] == ABOUT


def test_it_is_used_by_keyboard_and_its_curve_has_words(show):
    panel = live(steps=5)
    panel.curve = {
        "points": [[1, 5.0], [2, 1.0]], "steps": 4, "colour": "currentColor", "words": "A loss.",
        "levels": [[5.5, "ln V"]], "stages": [[1, "N = 16"], [2, "the task"]],
    }  # fmt: skip
    page = show(panel)
    seed = page.get_by_label("seed")
    assert seed.input_value() == "1"
    seed.fill("99")
    seed.press("Enter")
    assert seed.input_value() == "9" and page.evaluate("model.get('chosen')") == [9]
    page.get_by_role("button", name="Train").press("Enter")
    assert page.evaluate("sent") == ["start"]
    page.get_by_text("No kernel answers").wait_for()
    page.evaluate("model.set('is_running', true)")
    page.get_by_role("button", name="Stop").press("Enter")
    assert page.evaluate("sent") == ["start", "stop"]
    assert page.get_by_role("img", name="A loss.").is_visible()
    assert page.get_by_text("the task").is_visible()
    page.evaluate("model.set('status', 'It failed.')")
    assert page.get_by_role("status").inner_text() == "It failed."
