"""A widget in a page that has nothing but its state, as a static page of the book has."""

import base64
import json

import pytest
from ipywidgets.widgets.widget import _remove_buffers

from tests.widgets.lab import FLAGS

# A model as a widget manager gives it to `render`: get, set, on, off.
SHOW = """async ([script, state, buffers]) => {
    const values = JSON.parse(state), listeners = [];
    for (const [path, data] of buffers) {
        const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
        path.slice(0, -1).reduce((inner, key) => inner[key], values)[path.at(-1)] =
            new DataView(bytes.buffer);
    }
    window.sent = [];
    window.model = {
        get: (name) => values[name],
        set: (name, value) => {
            values[name] = value;
            listeners.filter(([event]) => event === "change:" + name).forEach(([, call]) => call());
        },
        on: (event, call) => listeners.push([event, call]),
        off: () => {},
        save_changes: () => {},
        send: (content) => window.sent.push(content),
    };
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    const { default: widget } = await import(url);
    widget.render({ model: window.model, el: document.getElementById("here") });
}"""


@pytest.fixture(scope="session")
def browser(playwright, chromium):
    browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def page(browser):
    """An empty page; the test fails where the page complains."""
    page = browser.new_page()
    complaints = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.close()
    assert not complaints


@pytest.fixture
def show(page):
    """A function that shows a widget in the page, without a kernel."""

    def show(widget, style=""):
        # No trait of ours begins with an underscore.
        state = {k: v for k, v in widget.get_state().items() if not k.startswith("_")}
        state, paths, buffers = _remove_buffers({k: v for k, v in state.items() if k != "layout"})
        encoded = [base64.b64encode(data).decode() for data in buffers]
        held = list(zip(paths, encoded, strict=True))
        page.set_content(f'<body style="{style}"><div id=here></div>')
        page.evaluate(SHOW, [widget._esm, json.dumps(state), held])
        return page

    return show
