"""What a lesson in recall does for text that was never read, in the committed table."""

from pathlib import Path

import pytest

from zoology_teach.experiments import results
from zoology_teach.experiments.lesson import LessonRun, lesson

TABLE = Path(__file__).parents[2] / "book" / "results" / "lesson.csv"


@pytest.fixture(scope="module")
def hits():
    """Lowest and highest perplexity on AR hits over three seeds, by model and lesson."""
    table = results.load(TABLE, LessonRun.columns)
    assert set(table["run"]) == {run.id for run in lesson()}
    return table.groupby(["mixer", "recipe"])["ar_ppl"].agg(["min", "max", "count"])


def test_attention_carries_recall_over_to_text_in_every_seed(hits):
    for mixer in ("hybrid_short_conv", "attention_short_conv"):
        assert hits.loc[(mixer, "renamed"), "count"] == 3
        assert hits.loc[(mixer, "renamed"), "max"] < 20


def test_no_control_does(hits):
    controls = hits.drop(
        index=[(m, "renamed") for m in ("hybrid_short_conv", "attention_short_conv")]
    )
    assert {"not renamed", "shuffled values"} < {recipe for _, recipe in controls.index}
    assert (controls["min"] > 1000).all() and (controls["count"] == 3).all()
