"""One page of the whole book -> a tagged PDF with bookmarks, printed by Chromium."""

from pathlib import Path

from playwright.sync_api import sync_playwright

from zoology_teach.doctor import find_browser

FLAGS = ["--no-sandbox", "--disable-gpu"]
BESIDE = 16  # mm, on each side of the text
ACROSS = round((210 - 2 * BESIDE) * 96 / 25.4)  # CSS pixels of a line on A4
FOOTER = (
    '<div style="font-size: 8px; width: 100%; text-align: center">'
    '<span class="pageNumber"></span></div>'
)
# On a screen the book's title stands at the side, on paper in front. Pictures far below are loaded
# and folded text is opened before anything is laid out. Opened text fades in, and what is still
# transparent would not be printed.
READY = """async () => {
    const still = document.createElement("style");
    const without = ["animation", "transition", "box-shadow"];
    still.textContent = `* { ${without.map((name) => `${name}: none !important`).join("; ")} }`;
    document.head.append(still);
    const title = Object.assign(document.createElement("p"), { className: "book-title" });
    title.textContent = document.title;
    document.querySelector("article").prepend(title);
    document.querySelectorAll("details").forEach((folded) => (folded.open = true));
    await document.fonts.ready;
    await Promise.all([...document.images].map((image) => {
        image.loading = "eager";
        return image.decode();
    }));
    for (const formula of document.querySelectorAll(".katex-display"))
        for (let size = 99; formula.scrollWidth > formula.clientWidth && size > 20; size--)
            formula.style.fontSize = `${size}%`;
}"""


def printed(index: Path) -> bytes:
    """The PDF of one HTML file. Raises FileNotFoundError where there is no Chromium."""
    browser_path = find_browser()
    if browser_path is None:
        raise FileNotFoundError("chromium: not found; to repair: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        page = browser.new_page(viewport={"width": ACROSS, "height": 1000})
        page.goto(index.resolve().as_uri(), timeout=0)  # a long page: let a slow machine load it
        page.emulate_media(media="print", color_scheme="light")
        page.evaluate(READY)
        content = page.pdf(
            format="A4",
            print_background=True,
            tagged=True,
            outline=True,
            margin={"top": "18mm", "bottom": "18mm", "left": f"{BESIDE}mm", "right": f"{BESIDE}mm"},
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
        )
        browser.close()
    return content
