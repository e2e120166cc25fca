"""The losses of two models on the same passage, token by token (chapter 10)."""

import json
from typing import Any

import anywidget
import pandas as pd
import traitlets

from zoology_teach import plots
from zoology_teach.checks import require
from zoology_teach.page import as_printed, draw_page, height
from zoology_teach.widgets.front_end import front_end
from zoology_teach.widgets.still import WithStill

ABOUT = ["block", "document", "token", "ar", "opportunity"]
MOST = 8.0  # nats of the deepest colour; guessing among 2,048 tokens alike is 7.6


class TokenLosses(WithStill, anywidget.AnyWidget):
    """Two models side by side: deep orange is a large loss, a blue line an AR hit.

    passage      as `text_passage.passage` makes it: a row a token, the columns block, document,
                 token, ar and opportunity, and a column of losses in nats for each model, by
                 the name that the reader sees.
    left, right  the models shown at first; by default the first two.

    Everything happens in the browser, so a static page shows it too. Menus choose passage,
    models and colouring; pointing at a token, or the arrow keys, reads out its losses. The marks
    of speakers and stage directions are shown as a book prints them (`page.as_printed`).
    Raises ValueError without two models, for an unknown one, or for a loss that is not finite.
    """

    _esm = front_end("token_losses.js")
    # As one string: a notebook gives each number of a list a line of its own.
    passages = traitlets.List(traitlets.Dict()).tag(
        sync=True, to_json=lambda pages, _: json.dumps(pages, separators=(",", ":"))
    )
    models = traitlets.List(traitlets.Unicode()).tag(sync=True)
    most = traitlets.Float(MOST).tag(sync=True)
    passage = traitlets.Int(0).tag(sync=True)
    left = traitlets.Int(0).tag(sync=True)
    right = traitlets.Int(1).tag(sync=True)

    def __init__(self, passage: pd.DataFrame, *, left: str | None = None, right: str | None = None):
        missing = [name for name in ABOUT if name not in passage]
        require(not missing, "passage", list(passage), f"a table with {', '.join(missing)}")
        require(len(passage) > 0, "passage", "empty", "a table with a row a token")
        words = all(isinstance(token, str) for token in passage["token"])
        require(words, "passage['token']", "no text", "text (read with keep_default_na=False)")
        models = [name for name in passage if name not in ABOUT]
        require(len(models) >= 2, "passage", models, "a table with losses of two models or more")
        for name in models:
            finite = passage[name].between(0, float("inf"), inclusive="left").all()
            require(bool(finite), f"passage[{name!r}]", "nan, negative or infinite", "losses")
        blocks = [rows for _, rows in passage.groupby("block", sort=False)]
        left = left or models[0]
        sides = {"left": left, "right": right or next(name for name in models if name != left)}
        for side, name in sides.items():
            require(name in models, side, name, f"one of {models}")
        super().__init__(
            passages=[_page(rows, models) for rows in blocks],
            models=models,
            **{side: models.index(name) for side, name in sides.items()},
        )
        self._still = _picture(blocks[0], **sides)


def _page(rows: pd.DataFrame, models: list[str]) -> dict[str, Any]:
    tokens = rows["token"].tolist()
    printed = enumerate(zip(tokens, as_printed(tokens), strict=True))
    return {
        "title": f"{rows['document'].iloc[0]}, block {rows['block'].iloc[0]}",
        "tokens": tokens,
        "shown": {str(i): shown for i, (token, shown) in printed if shown != token},
        "hits": rows["ar"].astype(bool).tolist(),
        "opportunities": rows["opportunity"].astype(bool).tolist(),
        "losses": [rows[name].astype(float).round(2).tolist() for name in models],
    }


def _picture(rows: pd.DataFrame, left: str, right: str) -> plots.Picture:
    tokens, hits = as_printed(rows["token"].tolist()), rows["ar"].astype(bool).to_numpy()
    figure, panels = plots.axes(columns=2, width=4.6, height=height(tokens))
    for panel, name in zip(panels, (left, right), strict=True):
        depth = (rows[name] / MOST).clip(upper=1)
        draw_page(panel, tokens, [(0.9, 0.62, 0.0, x) for x in depth], hits, width=4.6)
        panel.set_title(name, fontsize=10)
    alt = (
        f"A passage of {rows['document'].iloc[0]}, twice, each token coloured by the loss of a "
        f"model: {left} and {right}."
    )
    if hits.any():
        means = ", ".join(f"{name} {rows[name][hits].mean():.1f}" for name in (left, right))
        alt += f" Mean loss on the {hits.sum()} AR hits, in nats: {means}."
    return plots.Picture(figure, alt)
