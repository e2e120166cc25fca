"""A widget in a page that has nothing but its state, as a static page of the book has."""

from contextlib import contextmanager

PLACE = "http://book.test/"
OWN = ("layout", "tabbable", "tooltip")

# A model as a page without Jupyter makes it: get, set, on, off and save_changes.
_SHOW = """async ([script, state]) => {
    const heard = {};
    const model = {
        get: (name) => state[name],
        set: (name, value) => {
            state[name] = value;
            (heard["change:" + name] ?? []).forEach((call) => call());
        },
        on: (event, call) => (heard[event] ??= []).push(call),
        off: (event, gone) => (heard[event] = heard[event].filter((call) => call !== gone)),
        save_changes: () => {},
    };
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    const { default: widget } = await import(url);
    const el = document.createElement("div");
    document.body.append(el);
    (window.models ??= []).push(model);
    (window.views ??= []).push(widget.render({ model, el }));
}"""


def state_of(widget) -> dict:
    """What a notebook keeps of a widget, without what every widget has."""
    names = [name for name in widget.keys if not name.startswith("_") and name not in OWN]
    return widget.get_state(key=names)


def add(page, widget) -> None:
    """Show a widget below what the page shows already."""
    page.evaluate(_SHOW, [str(widget._esm), state_of(widget)])


@contextmanager
def empty_page(browser, **options):
    """A page of a site with a storage of its own; it fails where the page logs an error."""
    page, errors = browser.new_page(**options), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    content = "<!doctype html><style>:root { color-scheme: light dark }</style><body></body>"
    page.route(f"{PLACE}**", lambda route: route.fulfill(body=content, content_type="text/html"))
    page.goto(PLACE)
    yield page
    page.close()
    assert not errors
