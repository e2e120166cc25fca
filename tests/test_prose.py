"""Every number in a chapter's prose is printed in its section, or recomputed from its source.

`tests/prose/chNN.py` declares a chapter's claims: a fragment of its text and what it must be.
`#` stands for a number, which is compared to as many decimals as the text prints; True or False
says whether a claim in words holds. A number that no claim covers must be

- printed by a cell of its section, rounded as in the text,
- a whole number that the chapter's code sets (N, K, V, steps), or any that its section sets, or
- in a sentence that names the paper, a value of `paper.csv`.
"""

import inspect
import json
import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from tests.prose.sources import Sources, broken, declared, uncovered
from zoology_teach.mixers import MIXERS
from zoology_teach.training import TrainConfig

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
CHAPTERS = sorted(BOOK.glob("[0-9][0-9]_*.ipynb"))
NAMES = [c.stem for c in CHAPTERS]
RESULT_OF = dict.fromkeys(
    (
        "figure2 figure2_identity budget curriculum vocabulary confounders input_filters hybrids "
        "pairs_and_length newer_animals"
    ).split(),
    "accuracy",
) | {
    "text": "ar_ppl",
    "lesson": "ar_ppl",
    "text_documents": "ar_ppl",
    "longer": "tested",
    "cost": "flops",
    "paper": "value",
}


@pytest.fixture(params=CHAPTERS, ids=NAMES)
def chapter(request) -> Path:
    return request.param


def sources_of(chapter: Path, folder: Path = BOOK / "results") -> Sources:
    return Sources(folder, nbformat.read(chapter, as_version=4))


def test_claims_hold(chapter):
    sources = sources_of(chapter)
    assert not broken(declared(chapter)(sources), sources.sections)


def test_every_number_comes_from_somewhere(chapter):
    sources = sources_of(chapter)
    claims, code = declared(chapter)(sources), "".join(s["code"] for s in sources.sections)
    paper = sources.papers.astype(float).tolist()
    lost = [x for s in sources.sections for x in uncovered(s, claims, code, paper)]
    assert not lost, "declare how it is computed:\n" + "\n".join(lost)


def tables_read() -> list[tuple[Path, str]]:
    """Each chapter with each table that it reads and that holds results."""
    pairs = []
    for chapter in CHAPTERS:
        names = re.findall(r"results/(\w+)\.csv", chapter.read_text())
        pairs += [(chapter, name) for name in dict.fromkeys(names) if name in RESULT_OF]
    return pairs


def lower(result):
    """A tenth less; of a text, [N, K, accuracy, state size] of each test, each accuracy."""
    if isinstance(result, str):
        tests = json.loads(result)
        return json.dumps([[n, k, 0.9 * right, state] for n, k, right, state in tests])
    return 0.9 * result


CHANGES = {"lower": lambda x: x.map(lower), "other rows": lambda x: x.to_numpy()[::-1]}


@pytest.mark.parametrize(
    ("chapter", "name", "change"),
    [
        pytest.param(chapter, name, change, id=f"{chapter.stem[:2]}-{name}-{change}")
        for chapter, name in tables_read()
        for change in CHANGES
    ],
)
def test_another_table_is_noticed(tmp_path, chapter, name, change):
    """All results 10 % lower, or in reverse order: the chapter's claims no longer hold."""
    folder = tmp_path / "results"
    shutil.copytree(BOOK / "results", folder)
    table = pd.read_csv(folder / f"{name}.csv")
    table[RESULT_OF[name]] = CHANGES[change](table[RESULT_OF[name]])
    table.to_csv(folder / f"{name}.csv", index=False)
    sources = sources_of(chapter, folder)
    assert broken(declared(chapter)(sources), sources.sections)


def test_a_number_from_nowhere_is_noticed():
    section = {"title": "A", "prose": "BaseConv answers 0.36, or 42 %, of 64.", "code": "n = 64"}
    lost = list(uncovered(section | {"out": "0.418"}, [], "n = 64", []))
    assert len(lost) == 1 and "0.36" in lost[0]
    assert broken([("answers #", 0.418)], [section | {"out": ""}])
    assert not broken([("answers #", 0.364)], [section | {"out": ""}])


def test_papers_numbers_say_where_they_stand():
    paper = pd.read_csv(BOOK / "results" / "paper.csv").set_index("id")
    for id, row in paper[paper.index.str.match(r"table\d")].iterrows():
        table = f"Table {id[len('table')]}"
        assert row["where"].startswith(table) and row["what"].startswith(table), id
    large = paper[paper.index.str.match(r"table\d.*_1400_")]
    assert set(large["where"]) == {"Table 5, Appendix G"} and len(large) == 7
    assert paper.loc["hybrid_share", "standing"] == 1


def test_nobody_claims_the_papers_own_set_up():
    for path in [*BOOK.glob("*.md"), *(ROOT / "zoology_teach").rglob("*.py")]:
        text = " ".join(path.read_text().split())
        assert not re.search(r"paper's own (Figure 2 )?set-?up", text), path
    ours = {name: inspect.signature(MIXERS[name]).parameters for name in MIXERS}
    assert ours["h3"]["d_state"].default == 64 and ours["mamba"]["expand"].default == 1
    assert ours["linear_attention"]["feature_dim"].default == 16 and TrainConfig().clip == 1


@pytest.mark.parametrize("path", sorted(BOOK.glob("*.md")), ids=lambda p: p.stem)
def test_a_needed_width_is_a_measured_one(path):
    prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n", prose):
        if re.search(r"convolution needs \w|needs? width", paragraph):
            assert re.search(r"[Mm]easured", paragraph), paragraph
