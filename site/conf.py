"""What Sphinx needs to know of the book; `site/build.py` calls it."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import docstrings  # noqa: E402
from zoology_teach import __version__  # noqa: E402

project, author = "zoology_teach", "The zoology_teach authors"
version = release = __version__
copyright = f"{author}. Text and figures: CC BY 4.0. Code: MIT"
html_title, language, root_doc = project, "en", "book/index"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "formulas",
    "screen_reader",
    "lighter",
    "sphinxcontrib.bibtex",
    "sphinx_copybutton",
]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".rst": "restructuredtext"}

nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}  # static/widgets.js does it; the default asks another host
nb_code_prompt_show, nb_code_prompt_hide = "Show the code", "Hide the code"
myst_enable_extensions = ["dollarmath", "amsmath", "html_image"]
myst_heading_anchors = 4
myst_dmath_double_inline = True
suppress_warnings = ["myst.header"]  # a chapter opens with a quotation, an exercise with h2

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
add_module_names = False

html_theme = "furo"
html_theme_options = {"navigation_with_keys": False}  # arrow keys belong to the sliders
html_math_renderer = "katex"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_favicon = str(HERE / "static" / "icon.svg")
html_js_files = [(name, {"defer": "defer"}) for name in ("widgets.js", "reachable.js")]
html_copy_source = html_show_sourcelink = False
html_show_search_summary = False  # it fetches pages, which file:// forbids
html_scaled_image_link = False
html_permalinks_icon = "#"
html_use_index = html_domain_indices = False
epub_show_urls = "no"
epub_exclude_files = [f"_static/{name}" for name in ("widgets.js", "reachable.js")]
copybutton_exclude = ".linenos, .gp, .go"


def setup(app):
    """Read the library's docstrings as what they are."""
    app.connect("autodoc-process-docstring", _convert)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _convert(app, what, name, obj, options, lines):
    lines[:] = docstrings.convert(lines)
