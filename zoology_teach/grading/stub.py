"""A solution's code and the stub that students get: the marks between which a solution stands."""

import re

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
PLACEHOLDER = 'raise NotImplementedError("your code here")'
SOLUTION = re.compile(rf"^([ \t]*){BEGIN}\n.*?^[ \t]*{END}$", re.DOTALL | re.MULTILINE)


def without_solution(code: str, where: str) -> str:
    """`code` with each marked solution replaced by the placeholder at its indentation.

    Raises ValueError, naming `where`, for a mark without its other.
    """
    stub = SOLUTION.sub(lambda match: match[1] + PLACEHOLDER, code)
    if BEGIN in stub or END in stub:
        raise ValueError(f"{where}: a {BEGIN!r} without its {END!r}, or the other way round")
    return stub
