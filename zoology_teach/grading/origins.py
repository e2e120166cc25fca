"""Who handed a file in, by the names that files have in the exports of learning platforms.

- Canvas: ``lastnamefirstname_[LATE_]userid_fileid_name-N.ipynb``, anonymous ones too;
- Moodle: ``Full Name_12345_assignsubmission_file_/name.ipynb``, and the same without folders;
- Blackboard: ``assignment_user_attempt_2026-11-24-09-49-48_name.ipynb``;
- anything else, nbgrader's folders among it: ``student/.../name.ipynb`` or ``student.ipynb``.

A student chooses only the end of such a name, so what stands first in it counts.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from zoology_teach.grading.archives import SAVED_AS

CANVAS = re.compile(
    r"(?P<name>\w+?)_(?P<late>LATE_)?(?P<id>[1-9]\d*)_"
    r"(?:(?P<attempt>[1-9]\d*)_(?P<rest>.+)|(?:text|link)\.html)",
    re.DOTALL,
)
CANVAS_ANONYMOUS = re.compile(
    r"(?P<late>LATE_)?(?P<name>anon_(?P<late2>LATE_)?(?P<id>[^\W_]+))_"
    r"(?:(?P<attempt>[1-9]\d*)_(?P<rest>.+)|(?:text|link)\.html)",
    re.DOTALL,
)
MOODLE = re.compile(r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_[a-z]+_?(?P<rest>.*)", re.DOTALL)
BLACKBOARD = re.compile(
    r"(?P<head>.+?_(?P<name>[^_]+))_attempt_(?P<date>\d{4}(?:-\d\d){5})(?:_(?P<rest>.+)|\.txt)",
    re.DOTALL,
)
BLIND = re.compile(r"(?:.+-)?Participant")  # what Moodle calls everybody in blind marking
TEAM = re.compile(
    r"\b(?:group|team|gruppe|groupe|grupo|gruppo|groep|grupp|grupa|équipe|equipe|equipo)\b",
    re.IGNORECASE,
)
COPY = re.compile(r"-(\d{1,9})(?=\.\w+$)")
JOINER = re.compile(r"\\u(200[cd])")  # as a path shows one; Persian and Hindi names have them
EXTENSION = re.compile(r"(?:\.tar)?\.\w+$")


@dataclass(frozen=True)
class Origin:
    """Who handed a file in, as its name says; `id` is the learning platform's own number."""

    platform: str  # "canvas", "moodle", "blackboard", "gradescope", or "": no platform named it
    student: str
    id: str = ""
    attempt: int = 0
    name: str = ""  # of the file, as the student had it
    late: bool = False  # as the platform says
    is_team: bool = False  # `id` is the number of a group, and nobody's
    known_as: str = ""  # what the key is made of where that is not the name

    @property
    def identity(self) -> str:
        """The same for two files just when they are from the same student."""
        return f"{self.platform}:{self.id or self.student}"


def canvas(name: str) -> Origin | None:
    """The origin of a file with a name of Canvas's."""
    name = unicodedata.normalize("NFC", name)
    plain = _marks_as_letters(name)
    match = CANVAS_ANONYMOUS.fullmatch(plain) or CANVAS.fullmatch(plain)
    if not match or not re.search(r"[^\W\d_]", match["name"]):  # no letter: a date, not a name
        return None
    attempt, rest = int((match["attempt"] or "0")[:20]), ""
    if match["rest"]:
        rest = name[slice(*match.span("rest"))]
    student = name[slice(*match.span("name"))]
    late = bool(match["late"] or match.groupdict().get("late2"))
    return Origin("canvas", student, match["id"], attempt, rest, late)


def moodle(name: str) -> Origin | None:
    """The origin of a file or folder with a name of Moodle's."""
    match = MOODLE.fullmatch(unicodedata.normalize("NFC", name))
    if not match:
        return None
    student, id = match["name"], match["id"]
    shown = f"{student} {id}" if BLIND.fullmatch(student) else student
    is_team = _is_team(student, id)
    return Origin("moodle", shown, id, name=match["rest"], is_team=is_team, known_as=student)


def _is_blind(name: str, id: str) -> bool:
    return bool(BLIND.fullmatch(name)) or name.endswith(f" {id}")


def _is_team(name: str, id: str) -> bool:
    own = name.rpartition("-")[2]  # "Team 7-Ada" is Ada
    numbered = bool(re.search(r"\d", own)) and not _is_full_name(own)
    return bool(TEAM.search(own)) or (numbered and not _is_blind(name, id))


def _is_full_name(name: str) -> bool:
    """Whether this can be a person's full name: two words, or one where no word has capitals."""
    words = [word for word in name.rpartition("-")[2].split() if not re.search(r"\d", word)]
    return len(words) > 1 or any(word.lower() == word.upper() for word in words)


def blackboard(name: str) -> Origin | None:
    """The origin of a file with a name of Blackboard's; the latest attempt has the last date."""
    match = BLACKBOARD.fullmatch(unicodedata.normalize("NFC", name))
    if not match:
        return None
    attempt = int(match["date"].replace("-", ""))
    return Origin("blackboard", match["name"], match["head"], attempt, match["rest"] or "")


def plain(path: tuple[str, ...], is_folder: bool) -> Origin:
    """The origin of what no platform named: its folder, or the file's name."""
    first = unicodedata.normalize("NFC", path[0])
    if len(path) > 1 or is_folder:
        return Origin("", first, name=path[-1])
    return Origin("", stem(first) or first, name=path[0])


def stem(name: str) -> str:
    """The name of a file without what says its kind."""
    ending = next((end for end in SAVED_AS if name.lower().endswith(end)), None)
    return name[: -len(ending)] if ending else EXTENSION.sub("", name)


def _marks_as_letters(name: str) -> str:
    """`name` with a letter for each accent, vowel sign or joiner: they are parts of words."""
    return "".join(
        "a" if not c.isascii() and (unicodedata.category(c)[0] == "M" or c in "\u200c\u200d") else c
        for c in name
    )


def platform_origin(file: str, key: str, platform: str) -> Origin | None:
    """What the path of a submission says of a student on "canvas" or "moodle".

    A path counts only if it is what the key was made of: no name that a student chose for a
    file stands for another student.
    """
    for part in re.split(r"/| \+ ", JOINER.sub(lambda m: chr(int(m[1], 16)), file)):
        for origin in (canvas(part), moodle(part)):
            if origin and origin.platform == platform and _hash(origin.identity) == key[-8:]:
                return origin
    return None


def platform_ids(handed_in: Iterable[tuple[str, str]], platform: str) -> dict[str, str]:
    """Key -> the student's number on "canvas" or "moodle", for the files and keys of a class.

    A name that Moodle gives to several is that of blind marking. Where most others are no full
    names, the class handed in as teams, and their numbers are nobody's.
    """
    found = {key: platform_origin(file, key, platform) for file, key in handed_in}
    there = {key: origin for key, origin in found.items() if origin and not origin.is_team}
    several = Counter(origin.known_as for origin in there.values())
    unsure = {
        key: _is_full_name(origin.known_as)
        for key, origin in there.items()
        if platform == "moodle"
        and several[origin.known_as] == 1
        and not _is_blind(origin.known_as, origin.id)
    }
    are_teams = 2 * sum(unsure.values()) < len(unsure)
    return {
        key: origin.id
        for key, origin in there.items()
        if not (are_teams and key in unsure and "-" not in origin.known_as)
    }


def is_late(file: str, key: str) -> bool:
    """Whether Canvas marked the submission as late."""
    parts = [platform_origin(part, key, "canvas") for part in file.split(" + ")]
    return any(origin.late for origin in parts if origin)


def _hash(identity: str) -> str:
    return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def key_of(student: str, identity: str) -> str:
    """A key that is safe as a file's name and differs between identities."""
    plain = unicodedata.normalize("NFKD", student).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:60].strip("-")
    return f"{slug or 'student'}-{_hash(identity)}"


def other_keys(student: str) -> set[str]:
    """The keys under which a student named by no platform may stand in an older manual.csv:
    accents can be written as one character or as two, and that once made two keys.
    """
    forms = {unicodedata.normalize(form, student) for form in ("NFC", "NFD")}
    return {key_of(form, f":{form}") for form in forms}
