"""The names in a zip as whoever packed it saw them.

Names are marked as UTF-8 or not at all: an old tool writes them as its system does, in UTF-8,
in a code page of East Asia or in that of the first PC, and does not say in which. In Shift-JIS,
GBK and Big5 a character may end in the byte of a backslash, which then divides no folders.
"""

import unicodedata
import zipfile
from itertools import pairwise

UTF8 = 0x800  # the flag of an entry whose name is marked
EAST_ASIAN = ("cp932", "gbk", "big5")  # in this order: each refuses most names of the ones after


def paths(infos: list[zipfile.ZipInfo]) -> list[tuple[str, ...]]:
    """For each entry the names that lead to it, without empty ones."""
    unmarked = [_raw(info) for info in infos if not info.flag_bits & UTF8]
    codec = _codec([name for name in unmarked if not _is_utf8(name)])
    backslash = any(_divides(name) for name in unmarked) and not any(b"/" in n for n in unmarked)
    found = []
    for info in infos:
        name = info.orig_filename.split("\0")[0]
        if not info.flag_bits & UTF8:
            name = _decoded(_raw(info), codec, backslash)
        parts = name.replace("\\", "/").split("/")
        found.append(tuple(part for part in parts if part not in ("", ".")))
    return found


def _raw(info: zipfile.ZipInfo) -> bytes:
    """The bytes of an unmarked name, which zipfile reads as the code page of the first PC."""
    return info.orig_filename.split("\0")[0].encode("cp437", "replace")


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _codec(names: list[bytes]) -> str:
    """The code page in which all these names are plain words."""
    return next((c for c in EAST_ASIAN if all(_reads(name, c) for name in names)), "cp437")


def _reads(name: bytes, codec: str) -> bool:
    """Whether a name is words of East Asia in `codec`, none of them half Latin.

    Half-width kana count against it: they are what the other code pages look like in cp932.
    """
    try:
        text = name.decode(codec)
    except UnicodeDecodeError:
        return False
    foreign = [c for c in text if not c.isascii()]
    wide = all(unicodedata.east_asian_width(c) in "WF" for c in foreign)
    letters = [c for c in foreign if unicodedata.category(c) in ("Lo", "Lm")]
    mixed = any(
        a.isascii() != b.isascii() and a.isalpha() and b.isalpha() for a, b in pairwise(text)
    )
    return wide and len(letters) * 2 > len(foreign) and not mixed


def _divides(name: bytes) -> bool:
    """Whether there is a backslash that can only divide folders."""
    return any(name[i : i + 1] == b"\\" and (i == 0 or name[i - 1] < 128) for i in range(len(name)))


def _decoded(name: bytes, codec: str, backslash: bool) -> str:
    if _is_utf8(name):
        return name.decode()
    text = name.decode(codec)
    if codec != "cp437" or backslash:
        return text
    # After a letter that is no ASCII it may be the second half of one that we cannot read.
    return "".join(
        "＼" if c == "\\" and i and not text[i - 1].isascii() else c for i, c in enumerate(text)
    )
