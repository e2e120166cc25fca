"""A solution's code and the stub that students get: the marks between which a solution stands."""

import re

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
PLACEHOLDER = 'raise NotImplementedError("your code here")'
STOP = re.compile(rf"^[ \t]*{re.escape(PLACEHOLDER)}", re.MULTILINE)
RETURN = re.compile(r"^[ \t]*return\b", re.MULTILINE)
SIGNATURE = re.compile(r".*?:[ \t]*(?:#[^\n]*)?\n|.*?:(?=[ \t]*(?:raise|pass|\.\.\.))", re.DOTALL)
DOCSTRING = re.compile(r'\s*r?("""|\'\'\'|"|\')(?:\\.|[^\\])*?\1', re.DOTALL)
EMPTY = re.compile(r"\s*(?:pass|\.\.\.|raise NotImplementedError\b.*|#.*)?$")
SOLUTION = re.compile(rf"^([ \t]*){BEGIN}\n.*?^[ \t]*{END}$", re.DOTALL | re.MULTILINE)


def without_solution(code: str, where: str) -> str:
    """`code` with each marked solution replaced by the placeholder at its indentation.

    Raises ValueError, naming `where`, for a mark without its other.
    """
    stub = SOLUTION.sub(lambda match: match[1] + PLACEHOLDER, code)
    if BEGIN in stub or END in stub:
        raise ValueError(f"{where}: a {BEGIN!r} without its {END!r}, or the other way round")
    return stub


def is_stub(body: str) -> bool:
    """Whether a function, given what stands behind its name, does nothing: it stops at the
    placeholder, with no return before, or is empty. A placeholder in a comment stops nothing.
    """
    stop = STOP.search(body) if PLACEHOLDER in body else None
    if stop:
        return RETURN.search(body, 0, stop.start()) is None
    signature = SIGNATURE.match(body) if ":" in body else None
    if not signature:
        return False
    docstring = DOCSTRING.match(body, signature.end())
    rest = body[docstring.end() if docstring else signature.end() :]
    return all(map(EMPTY.match, rest.split("\n")))
