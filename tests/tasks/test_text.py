"""Text becomes blocks: nothing is lost in silence, nothing leaks, the same every time."""

import hashlib
import json
import os
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import zstandard

from zoology_teach.tasks import documents, folder, text
from zoology_teach.tasks.documents import DATA, PLAYS, DamagedText, Document, Reading, read
from zoology_teach.tasks.source import Text


def zst(content: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(content)


def jsonl(*rows) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def write(folder, **files: bytes):
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def corpus():
    return text.load()


@pytest.fixture(scope="module")
def plays():
    return list(read("shakespeare"))


def test_the_committed_text_is_what_its_readme_says(plays):
    sums = dict(re.findall(r"`([\w.]+)` \|.*`(\w{64})`", (DATA / "README.md").read_text()))
    unpacked = zstandard.ZstdDecompressor().decompress(PLAYS.read_bytes())
    found = {path.name: path.read_bytes() for path in (PLAYS, text.TOKENIZER)}
    found |= {"shakespeare.jsonl": unpacked}
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}
    assert PLAYS.stat().st_size < 2e6
    assert len(plays) == len({play.name for play in plays}) == 37
    assert {play.name for play in plays} > text.HELD_OUT_PLAYS
    groups = {row["title"]: row["group"] for row in map(json.loads, unpacked.splitlines())}
    assert {groups[name] for name in text.HELD_OUT_PLAYS} == set(groups.values())


def test_the_tokenizer_can_be_made_again_and_saw_no_held_out_play(plays):
    again = text.train_tokenizer(p.text for p in plays if p.name not in text.HELD_OUT_PLAYS)
    committed = text.load_tokenizer()
    assert again.get_vocab() == committed.get_vocab()
    assert again.get_vocab_size() == 2048
    sample = plays[0].text
    assert again.encode(sample).ids == committed.encode(sample).ids


def test_tokens_spell_the_text_and_nothing_in_a_text_ends_it(plays):
    tokenizer = text.load_tokenizer()
    odd = Document("odd", f"\u4f60\u597d \0 \r\n {text.END} \U0001f600")
    for document, (name, ids) in zip(
        [plays[8], odd], text.encode([plays[8], odd], tokenizer), strict=True
    ):
        assert name == document.name
        assert ids[0] == 0 and (ids[1:] > 0).all()
        assert tokenizer.decode(ids[1:].tolist()) == document.text


def test_every_token_is_predicted_once_and_plays_are_held_out_whole(corpus, plays):
    assert set(corpus.held_out.names) == text.HELD_OUT_PLAYS
    assert sorted(corpus.train.names + corpus.held_out.names) == sorted(p.name for p in plays)
    assert corpus.reading.documents == 37
    assert corpus.reading.damaged == corpus.reading.unused == corpus.reading.other_files == 0
    for blocks in (corpus.train, corpus.held_out):
        size, n = len(blocks), blocks.seq_len
        examples = blocks.examples()
        assert blocks.tokens.shape == (size, n + 1)
        assert examples.inputs.shape == blocks.documents.shape == (size, n)
        predicted = examples.labels.flatten().numpy()
        assert (predicted == blocks.stream[1 : size * n + 1]).all()
        assert 0 <= len(blocks.stream) - (1 + size * n) < n, "what does not fill a block"
        assert (examples.inputs[:, 1:] == examples.labels[:, :-1]).all()
        assert (blocks.documents.ravel() == blocks.document[1 : size * n + 1]).all()
        assert (np.flatnonzero(blocks.stream == 0)).tolist() == [
            0,
            *(1 + np.flatnonzero(np.diff(blocks.document))).tolist(),
        ]


def test_the_same_seed_draws_the_same_blocks(corpus):
    blocks = corpus.held_out
    first, again, other = (blocks.sample(40, seed).inputs for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(blocks.sample(1, 3).inputs, first[:1])
    everything = blocks.sample(len(blocks), 0).inputs
    assert sorted(everything.tolist()) == sorted(blocks.examples().inputs.tolist())
    with pytest.raises(ValueError, match="num_examples"):
        blocks.sample(len(blocks) + 1)


@pytest.mark.parametrize(
    ("tokens", "blocks"), [(0, 0), (1, 0), (4, 0), (5, 1), (8, 1), (9, 2), (12, 2), (13, 3)]
)
def test_a_block_has_a_token_more_than_its_context(tokens, blocks):
    stream = np.arange(tokens)
    made = text.Blocks(stream, np.zeros(tokens, np.int32), ["a"], 4, 99)
    assert len(made) == blocks and made.tokens.shape == (blocks, 5)
    assert made.tokens.tolist() == [stream[4 * b : 4 * b + 5].tolist() for b in range(blocks)]


def test_the_last_documents_apart(corpus):
    rest, last = corpus.train.apart(3)
    assert rest.names + last.names == corpus.train.names and len(last.names) == 3
    assert (np.concatenate([rest.stream, last.stream]) == corpus.train.stream).all()
    assert rest.stream[0] == last.stream[0] == 0
    assert set(last.document) == {0, 1, 2} and set(rest.document) == set(range(28))
    with pytest.raises(ValueError, match="num_documents"):
        corpus.train.apart(31)


def test_a_folder_of_every_kind_is_read_in_one_order(tmp_path):
    rows = jsonl({"text": "one"}, {"text": "two", "title": "Two"})
    write(
        tmp_path,
        c_txt="na\u00efve\r\n".encode(),
        a__b_md=b"\xef\xbb\xbf# heading",
        d_jsonl=b"\n" + rows,
        e_jsonl_zst=zst(rows[:7]) + zst(rows[7:]),  # two frames, cut inside a line
        f_txt_zst=zst(b"packed"),
        picture_png=b"\x89PNG",
    )
    reading = Reading()
    found = [(d.name, d.text) for d in read(tmp_path, reading=reading)]
    assert found == [
        ("a/b.md", "# heading"),
        ("c.txt", "na\u00efve\r\n"),
        ("d.jsonl, line 2", "one"),
        ("Two", "two"),
        ("e.jsonl.zst, line 1", "one"),
        ("Two", "two"),
        ("f.txt.zst", "packed"),
    ]
    assert (reading.documents, reading.damaged, reading.other_files) == (7, 0, 1)
    assert reading.characters == sum(len(t) for _, t in found)
    assert [d.text for d in read(tmp_path / "c.txt")] == ["na\u00efve\r\n"]


PACKED = zst(
    jsonl(*({"text": f"{n} {np.random.default_rng(n).bytes(99).hex()}"} for n in range(2000)))
)
DAMAGED = {
    "bad_txt": (b"fine\nfine\nna\xefve\n", "bad.txt, line 3: byte 0xef is not UTF-8", 0),
    "empty_md": (b"", "empty.md: empty", 0),
    "blank_txt": (b" \n\n", "blank.txt: empty", 0),
    "huge_txt": (b"x" * 3001, "huge.txt: larger than 3,000 bytes", 0),
    "empty_jsonl": (b"\n\n", "empty.jsonl: empty", 0),
    "empty_jsonl_zst": (b"", "empty.jsonl.zst: empty", 0),
    "half_jsonl": (jsonl({"text": "a"}) + b'{"text": "b', "half.jsonl, line 2: not JSON", 1),
    "list_jsonl": (
        b'["text"]\n' + jsonl({"text": "a"}),
        "list.jsonl, line 1: no text in 'text'",
        1,
    ),
    "other_jsonl": (jsonl({"body": "a"}), "other.jsonl, line 1: no text in 'text'", 0),
    "number_jsonl": (jsonl({"text": 5}), "number.jsonl, line 1: no text in 'text'", 0),
    "deep_jsonl": (b"[" * 2999, "deep.jsonl, line 1: not JSON", 0),
    "half_pair_jsonl": (b'{"text": "\\ud800"}', "half.pair.jsonl, line 1: half of a surrogate", 0),
    "byte_jsonl": (
        jsonl({"text": "a"}) + b'{"text": "\xff"}\n' + jsonl({"text": "b"}),
        "byte.jsonl, line 2: byte 0xff is not UTF-8",
        2,
    ),
    "long_jsonl": (
        jsonl({"text": "a"}, {"text": "x" * 3_000_000}, {"text": "b"}),
        "long.jsonl, line 2: larger than 3,000 bytes",
        2,
    ),
    "cut_jsonl_zst": (PACKED[:-9], "cut.jsonl.zst, line ", None),
    "cut_txt_zst": (PACKED[:-9], "cut.txt.zst: cannot be read from here on", 0),
    "no_jsonl_zst": (b"not packed", "no.jsonl.zst, line 1: cannot be read from here on", 0),
}


def test_the_report_counts_the_reasons_that_it_leaves_out():
    said = {n: str(Reading(damaged=n, reasons=["a", "b"])) for n in (2, 3, 4)}
    assert said[2].endswith("\na\nb")
    assert said[3].endswith("\nb\n... and 1 more") and said[4].endswith("\n... and 2 more")


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_reported_with_file_and_line_and_refused_or_skipped(tmp_path, name):
    content, message, good = DAMAGED[name]
    write(tmp_path, **{name: content, "zz_md": b"sound"})
    with pytest.raises(DamagedText, match=re.escape(message)):
        list(read(tmp_path, largest=3000))
    reading = Reading()
    found = list(read(tmp_path, damaged="skip", largest=3000, reading=reading))
    assert found[-1] == Document("zz.md", "sound"), "the next file is read all the same"
    assert reading.damaged == len(reading.reasons) == 1
    assert reading.reasons[0].startswith(message) and message in str(reading)
    assert reading.documents == len(found)
    assert good is None or len(found) == good + 1


def test_what_stands_before_the_cut_of_a_compressed_file_is_kept(tmp_path):
    write(tmp_path, cut_jsonl_zst=PACKED[: len(PACKED) // 2])
    reading = Reading()
    found = list(read(tmp_path, damaged="skip", reading=reading))
    assert 300 < len(found) < 1900
    assert [d.text.split()[0] for d in found] == [str(n) for n in range(len(found))]
    assert (
        f"line {len(found) + 1}: " in reading.reasons[0] and "before its end" in reading.reasons[0]
    )


def test_an_unreadable_file_is_damage(tmp_path):
    write(tmp_path, a_txt=b"sound")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DamagedText, match=r"gone\.txt: cannot be read"):
        list(read(tmp_path))
    assert len(list(read(tmp_path, damaged="skip"))) == 1


def test_a_linked_folder_is_read_and_a_circle_is_damage(tmp_path):
    texts = write(tmp_path / "texts", a_txt=b"one")
    write(tmp_path / "elsewhere", b_txt=b"two", deep__c_md=b"three")
    (texts / "linked").symlink_to(tmp_path / "elsewhere")
    assert [d.name for d in read(texts)] == ["a.txt", "linked/b.txt", "linked/deep/c.md"]
    (tmp_path / "elsewhere" / "round").symlink_to(texts)
    with pytest.raises(DamagedText, match=r"linked/round: cannot be read .*a folder around it"):
        list(read(texts))
    reading = Reading()
    assert len(list(read(texts, damaged="skip", reading=reading))) == 3
    assert (reading.documents, reading.damaged, reading.other_files) == (3, 1, 0)


def test_an_unreadable_folder_is_damage(tmp_path, monkeypatch):
    texts = write(tmp_path, a_txt=b"one", shut__b_txt=b"two")
    real = type(tmp_path).iterdir

    def iterdir(path):
        if path.name == "shut":  # for root every folder is open
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(type(tmp_path), "iterdir", iterdir)
    with pytest.raises(DamagedText, match=r"shut: cannot be read .*Permission denied"):
        list(read(texts))
    reading = Reading()
    assert [d.text for d in read(texts, damaged="skip", reading=reading)] == ["one"]
    assert reading.damaged == 1


def test_a_link_that_leads_nowhere_is_damage_whatever_its_name(tmp_path):
    write(tmp_path, a_txt=b"one")
    (tmp_path / "sub").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    reading = Reading()
    assert len(list(read(tmp_path, damaged="skip", reading=reading))) == 1
    assert [reason.split(":")[0] for reason in reading.reasons] == ["self", "sub"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_and_a_device_are_not_read(tmp_path):
    write(tmp_path, a_txt=b"one")
    os.mkfifo(tmp_path / "pipe.txt")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    reading = Reading()
    assert [d.text for d in read(tmp_path, damaged="skip", reading=reading)] == ["one"]
    assert reading.damaged == 2 and reading.other_files == 1
    assert all("neither a file nor a folder" in reason for reason in reading.reasons)
    with pytest.raises(DamagedText, match=r"pipe\.txt: cannot be read"):
        list(read(tmp_path / "pipe.txt"))
    assert len(folder.digest(tmp_path)) == 12


def test_names_that_utf_8_cannot_write_are_escaped(tmp_path):
    odd = os.fsencode(tmp_path) + b"/na\xefve.txt"
    try:
        with open(odd, "wb") as file:
            file.write(b"one two three four " * 9)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    write(tmp_path, b_txt=b"five six seven " * 9)
    (tmp_path / "c.jsonl").write_bytes(b'{"text": "eight nine", "title": "half \\ud800"}\n')
    names = [d.name for d in read(tmp_path)]
    assert names == ["b.txt", "half \\ud800", "na\\udcefve.txt"]
    corpus = text.load(tmp_path, 4, held_out=["b.txt"])
    assert corpus.train.names == names[1:]
    assert set(text.load(tmp_path, 2, held_out=0.5, seed=1).train.names) < set(names)
    with open(odd, "wb") as file:
        file.write(b"\xff")
    with pytest.raises(DamagedText) as error:
        list(read(tmp_path))
    assert str(error.value).encode().startswith(rb"na\udcefve.txt, line 1: byte 0xff")


def test_a_digest_is_of_names_and_contents(tmp_path):
    write(tmp_path, a_txt=b"one", b_txt=b"two")
    first = folder.digest(tmp_path)
    seen = {first}
    for name, content in (("a.txt", b"One"), ("a.txt", b"on"), ("c.md", b"")):
        (tmp_path / name).write_bytes(content)
        seen.add(folder.digest(tmp_path))
    assert len(seen) == 4
    write(tmp_path, a_txt=b"one", picture_png=b"\x89")
    (tmp_path / "c.md").unlink()
    assert folder.digest(tmp_path) == first
    (tmp_path / "a.txt").write_bytes(b"two")
    (tmp_path / "b.txt").write_bytes(b"one")
    assert folder.digest(tmp_path) != first
    assert folder.digest(tmp_path / "a.txt") != folder.digest(tmp_path / "b.txt")


@pytest.mark.parametrize("kind", ["txt", "jsonl"])
def test_a_document_may_be_as_large_as_the_limit_and_no_larger(tmp_path, kind):
    content = b'{"text": "12345"}' if kind == "jsonl" else b"1" * 17
    write(tmp_path, **{f"a_{kind}": content + b"\n" * (kind == "jsonl")})
    assert len(list(read(tmp_path, largest=17))) == 1
    with pytest.raises(DamagedText, match="larger than 16 bytes"):
        list(read(tmp_path, largest=16))


def test_a_dataset_row_may_be_as_large_as_the_limit_and_no_larger(monkeypatch):
    rows = SimpleNamespace(load_dataset=lambda *a, **k: iter([{"text": "\u00e9\u00e9"}]))
    monkeypatch.setitem(sys.modules, "datasets", rows)
    assert len(list(read("hf:x", largest=4))) == 1
    with pytest.raises(DamagedText, match="larger than 3 bytes"):
        list(read("hf:x", largest=3))


def test_the_limits_that_are_promised():
    assert documents.LARGEST == 8 * 2**20 and documents.MOST_REASONS == 1000
    with pytest.raises(ValueError, match="largest = 0"):
        read("shakespeare", largest=0)


def test_the_account_of_endless_damage_stays_short(tmp_path):
    write(tmp_path, bad_jsonl=b"no\n" * 1500 + jsonl({"text": "a"}))
    reading = Reading()
    assert len(list(read(tmp_path, damaged="skip", reading=reading))) == 1
    assert reading.damaged == 1500 and len(reading.reasons) == documents.MOST_REASONS
    assert "and 500 more" in str(reading)


def test_a_dataset_is_streamed(monkeypatch):
    asked = []

    def load_dataset(path, name=None, *, split, streaming):
        asked.append((path, name, split, streaming))
        return iter(
            [{"text": "one"}, {"text": None}, {"text": "three", "meta": {}}, {"text": "x" * 99}]
        )

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    reading = Reading()
    found = list(read("hf:some/pile:en", split="test", damaged="skip", largest=50, reading=reading))
    assert asked == [("some/pile", "en", "test", True)]
    assert [(d.name, d.text) for d in found] == [
        ("some/pile:en, row 1", "one"),
        ("some/pile:en, row 3", "three"),
    ]
    assert reading.reasons == [
        "some/pile:en, row 2: no text in 'text'",
        "some/pile:en, row 4: larger than 50 bytes",
    ]
    with pytest.raises(DamagedText, match="row 2"):
        list(read("hf:some/pile"))
    assert asked[-1] == ("some/pile", None, "train", True)


def test_without_the_library_datasets_one_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"needs the library datasets: pip install .*\[pile\]"):
        text.load("hf:some/pile")


def test_documents_are_held_out_by_name_and_seed(tmp_path):
    rows = [{"text": f"word {n}", "title": f"title {n}"} for n in range(400)]
    place = write(tmp_path, a_jsonl=jsonl(*rows))
    names = {
        seed: set(text.load(place, 4, held_out=0.25, seed=seed).held_out.names) for seed in (0, 1)
    }
    assert 70 < len(names[0]) < 130 and names[0] != names[1]
    write(tmp_path, a_jsonl=jsonl(*rows[::-1][:300]))
    fewer = text.load(place, 4, held_out=0.25, seed=0)
    assert set(fewer.held_out.names) == names[0] - {f"title {n}" for n in range(100)}
    assert set(fewer.train.names).isdisjoint(names[0])


def test_the_last_document_that_fits_exactly_is_used(tmp_path):
    place = write(
        tmp_path, a_jsonl=jsonl(*({"text": f"word {n}", "title": str(n)} for n in range(9)))
    )
    tokenizer = text.load_tokenizer()
    sizes = [len(ids) for _, ids in text.encode(read(place), tokenizer)]
    for limit, used in ((sum(sizes[:5]), 5), (sum(sizes[:5]) - 1, 4)):
        corpus = text.load(place, 2, held_out=["0"], max_tokens=limit)
        assert len(corpus.train.names) + len(corpus.held_out.names) == used


def test_enough_tokens_and_the_rest_is_accounted_for(tmp_path):
    place = write(tmp_path, a_jsonl=jsonl(*({"text": "word " * 50} for _ in range(100))))
    corpus = text.load(place, 8, held_out=0.3, max_tokens=1500)
    used = len(corpus.train.names) + len(corpus.held_out.names)
    total = len(corpus.train.stream) + len(corpus.held_out.stream)
    assert 1400 < total <= 1500 and used < 40
    assert corpus.reading.documents - corpus.reading.unused == used
    assert f"{100 - used:,} not used" in str(corpus.reading)


@pytest.mark.parametrize(
    "arguments, named",
    [
        ({"source": "no/such/folder"}, "source"),
        ({"source": DATA.parent / "results"}, "source"),
        ({"held_out": ["No Such Play"], "max_tokens": 100_000}, "No Such Play"),
        ({"held_out": "Macbeth"}, "held_out"),
        ({"held_out": 1.5}, "held_out"),
        ({"held_out": 1e-9, "max_tokens": 100_000}, "held-out ones"),
        ({"seq_len": 0}, "seq_len"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"damaged": "mend"}, "damaged"),
    ],
)
def test_bad_arguments(arguments, named):
    with pytest.raises(ValueError, match=named):
        text.load(**arguments)


def test_a_file_that_is_no_tokenizer(tmp_path):
    path = tmp_path / "tokenizer.json"
    with pytest.raises(ValueError, match="path"):
        text.load_tokenizer(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match="not a tokenizer"):
        text.load_tokenizer(path)


def test_a_folder_with_many_ways_to_it_is_read_once_by_its_own_name(tmp_path):
    for i in range(40):  # 2^39 ways to the last
        (tmp_path / f"d{i:02}").mkdir()
        if i:
            for name in ("a", "b"):
                (tmp_path / f"d{i - 1:02}" / name).symlink_to(tmp_path / f"d{i:02}")
    (tmp_path / "d39" / "x.txt").write_text("once")
    assert [d.name for d in read(tmp_path)] == ["d39/x.txt"]


def test_an_empty_source_is_not_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(write(tmp_path, a_txt=b"sound"))
    with pytest.raises(ValueError, match=r"source = '': must be 'shakespeare', 'hf:NAME'"):
        read("")
    with pytest.raises(ValueError, match=r"source = '': must be a folder, a file or another"):
        Text("").as_found()


def test_only_the_hub_has_splits(tmp_path):
    with pytest.raises(ValueError, match="split = 'test': must be 'train': only the Hub has"):
        read(write(tmp_path, a_txt=b"sound"), split="test")
