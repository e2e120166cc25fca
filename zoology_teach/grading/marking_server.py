"""The pages of `zoology-teach mark` on 127.0.0.1, for whoever knows the token in their address.

GET  /TOKEN/                           all questions
GET  /TOKEN/02.d                       on to the first answer without points
GET  /TOKEN/02.d/ANSWER                one answer
GET  /TOKEN/02.d/ANSWER/whole          all of it, as plain text
GET  /TOKEN/02.d/ANSWER/next           on to the next answer without points
POST /TOKEN/02.d/ANSWER                {"points", "comment", "seen": {"points", "comment"}}

Everything else is not found, also what a page elsewhere asks for under another name of this
machine. With ?names=hidden no page tells whose an answer is.
"""

import json
import secrets
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from zoology_teach.grading import marking_pages as pages
from zoology_teach.grading.marking import Marking, address
from zoology_teach.grading.marks import ChangedMeanwhile, Mark, checked
from zoology_teach.grading.records import Graded, visible

HOST = "127.0.0.1"
MOST_SENT = 100_000  # bytes of a mark
TEXT, HTML, JSON = "text/plain", "text/html", "application/json"
HEADERS = {
    "Content-Security-Policy": pages.header(),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class NotFound(Exception):
    """There is no such page."""


@dataclass(frozen=True)
class Answer:
    """What is sent back; `location` is where to go instead."""

    status: int
    kind: str
    text: str
    location: str = ""


class Server(ThreadingHTTPServer):
    """Serves one `Marking` at `address`, which nobody can guess."""

    daemon_threads = True

    def __init__(self, marking: Marking) -> None:
        self.token = secrets.token_urlsafe(24)
        super().__init__((HOST, 0), partial(Handler, marking, self.token))
        self.host = f"{HOST}:{self.server_address[1]}"
        self.address = f"http://{self.host}/{self.token}/"

    def serve_until_interrupted(self) -> None:
        """Answer until Ctrl-C or a request to end; also where a shell started it with `&`."""
        for end in (signal.SIGINT, signal.SIGTERM):
            signal.signal(end, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            self.serve_forever()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    server_version, sys_version = "zoology-teach", ""
    timeout = 30  # seconds without a byte

    def __init__(self, marking: Marking, token: str, *request: object) -> None:
        self.marking, self.token = marking, token
        super().__init__(*request)  # type: ignore[arg-type]  # as the server calls it

    def do_GET(self) -> None:
        """A page, or the way to one."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """A mark."""
        self._answer(self._post)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the token stands in every request."""

    def _answer(self, act: Callable[[str, bool, list[str]], Answer]) -> None:
        try:
            answer = act(*self._asked())
        except NotFound:
            answer = Answer(404, TEXT, "Not found.")
        except (ValueError, OSError) as error:
            is_page = act == self._get
            said = visible(str(error))
            answer = Answer(422, *((TEXT, said) if is_page else (JSON, json.dumps({"said": said}))))
        with suppress(ConnectionError, TimeoutError):  # nobody waits for it any more
            self._send(answer)

    def _get(self, base: str, hidden: bool, parts: list[str]) -> Answer:
        if not parts:
            return Answer(200, HTML, pages.overview(self.marking, base, hidden=hidden))
        question = self._question(parts[0])
        if len(parts) == 1:
            return self._go_on(base, question, None, hidden)
        student = self._student(question, parts[1])
        if len(parts) == 2:
            page = pages.answer(self.marking, base, question, student, hidden=hidden)
            return Answer(200, HTML, page)
        if parts[2:] == ["whole"]:
            return Answer(200, TEXT, pages.shown(student.answers.get(question, "")))
        if parts[2:] == ["next"]:
            return self._go_on(base, question, student, hidden)
        raise NotFound

    def _post(self, base: str, hidden: bool, parts: list[str]) -> Answer:
        is_ours = self.headers.get("Origin") == f"http://{self.server.host}"
        if not is_ours or self.headers.get("Content-Type") != JSON or len(parts) != 2:
            raise NotFound
        question = self._question(parts[0])
        student = self._student(question, parts[1])
        new, seen = self._marks(question)
        try:
            self.marking.give(student, question, new, seen)
        except ChangedMeanwhile as changed:
            return Answer(409, JSON, json.dumps({"said": str(changed), "now": asdict(changed.now)}))
        return Answer(200, JSON, json.dumps({"stored": asdict(new)}))

    def _asked(self) -> tuple[str, bool, list[str]]:
        """The start of every address, whether names are hidden, and what comes after the token."""
        path, _, query = self.path.partition("?")
        token, *parts = path.removeprefix("/").split("/")
        knows = secrets.compare_digest(token.encode("utf-8", "replace"), self.token.encode())
        if not knows or self.headers.get("Host") != self.server.host:
            raise NotFound
        return f"/{self.token}", f"?{query}" == pages.HIDDEN, [part for part in parts if part]

    def _question(self, name: str) -> str:
        if name not in self.marking.questions:
            raise NotFound
        return name

    def _student(self, question: str, at: str) -> Graded:
        if (student := self.marking.student(question, at)) is None:
            raise NotFound
        return student

    def _marks(self, question: str) -> tuple[Mark, Mark]:
        """The mark that is given, and the one that was seen. Raises ValueError."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MOST_SENT:
            raise ValueError(f"a mark must have at most {MOST_SENT} bytes")
        try:
            sent = json.loads(self.rfile.read(int(length)))
            pairs = [(m["points"] + "", m["comment"] + "") for m in (sent, sent["seen"])]
        except (TypeError, LookupError, RecursionError):
            raise ValueError("a mark must have points and a comment, as text") from None
        return checked(*pairs[0], question), Mark(*pairs[1])

    def _go_on(self, base: str, question: str, after: Graded | None, hidden: bool) -> Answer:
        """On to an answer without points, or to the overview where all have some."""
        student = self.marking.next_unmarked(question, after, hidden=hidden)
        there = f"/{question}/{address(question, student)}" if student else "/"
        return Answer(303, TEXT, "", base + there + (pages.HIDDEN if hidden else ""))

    def _send(self, answer: Answer) -> None:
        body = answer.text.encode("utf-8", "replace")
        self.send_response(answer.status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if answer.location:
            self.send_header("Location", answer.location)
        self.send_header("Content-Type", f"{answer.kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
