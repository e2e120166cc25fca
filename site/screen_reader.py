"""What Sphinx and Furo leave out for those who do not see the page; axe found it missing."""

import re

EMPTY_HEAD = re.compile(r"<th[^>]*>(?:<p></p>)?</th>")


def mend(app, pagename, templatename, context, doctree):
    """Headings at the side get their level; the bibliography is a list of items; a table's empty
    corner is no heading; folded code is called by its caption.
    """
    if side := context.get("furo_navigation_tree"):
        levelled = side.replace('role="heading"', 'role="heading" aria-level="2"')
        context["furo_navigation_tree"] = levelled
    if body := context.get("body"):
        body = body.replace('role="doc-biblioentry"', 'role="listitem"')
        body = body.replace(' aria-label="Toggle hidden content"', "")
        context["body"] = EMPTY_HEAD.sub("<td></td>", body)


def setup(app):
    """Mend a page after Furo has filled it."""
    app.connect("html-page-context", mend, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
