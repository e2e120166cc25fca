"""The notebooks as they are stored: small, and complete without a kernel."""

import json
from pathlib import Path

import nbformat
import pytest

from zoology_teach import chapters

BOOK = Path(__file__).parents[2] / "book"
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
STATE = "application/vnd.jupyter.widget-state+json"
CHAPTER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
    jupytext_version: 1.19.6
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
---

# A chapter

```{code-cell} ipython3
from zoology_teach import plots
from zoology_teach.widgets import Explorer


def draw(number):
    return plots.Picture(plots.axes()[0], f"picture {number}", dpi=30)


Explorer(draw, number=[1, 2, 3])
```
"""


def test_all_notebooks_together_are_small():
    assert sum(path.stat().st_size for path in NOTEBOOKS) <= 3_500_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_widget_says_what_it_is_and_its_explorers_have_every_picture(path):
    notebook = nbformat.read(path, as_version=4)
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    plain = [o["data"].get("text/plain", "") for o in outputs if "data" in o]
    assert not [text for text in plain if "Box(children" in text or " object at 0x" in text]
    models = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    assert not [m for m in models.values() if m["model_module"] == "@jupyter-widgets/controls"]
    for model in models.values():
        if "packs" in model["state"]:
            assert all(model["state"]["words"])
            drawn = [number for pack in model["state"]["packs"] for number in pack["numbers"]]
            assert sorted(drawn) == list(range(len(model["state"]["words"])))


def test_a_chapter_that_is_built_holds_every_picture(tmp_path):
    source = tmp_path / "20_new.md"
    source.write_text(CHAPTER)
    chapters.build(source)
    stored = json.loads(source.with_suffix(".ipynb").read_text())
    assert len(stored["cells"]) == 2, "what draws them is no cell of the chapter"
    models = stored["metadata"]["widgets"][STATE]["state"].values()
    [explorer] = [m for m in models if "packs" in m["state"]]
    assert explorer["state"]["words"] == ["picture 1", "picture 2", "picture 3"]
    assert [pack["numbers"] for pack in explorer["state"]["packs"]] == [[0, 1, 2]]
    assert [buffer["path"] for buffer in explorer["buffers"]] == [["packs", 0, "data"]]
