"""Small faults: what one slip of a hand would change in a module's source.

A comparison is turned round, + becomes -, a number is off by one, ``and`` becomes ``or``, a
``not`` is lost, a condition is inverted, a default changes, a function returns None, a statement
is gone, ``break`` becomes ``continue``. Text is not changed (messages, labels, names), nor are
annotations, nor the bodies of Triton kernels, which run compiled.
"""

import ast
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path

COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}


@dataclass(frozen=True)
class Mutation:
    """In ``module``, the text from ``start`` to ``end`` (offsets in bytes) becomes ``after``."""

    module: str
    line: int
    start: int
    end: int
    before: str
    after: str
    text: str  # the whole line, stripped
    function: str  # the qualified name of the function that it lies in, or ""
    in_body: bool  # and not in its defaults or decorators

    @property
    def change(self) -> str:
        """What a reader of a list sees."""
        return f"{self.before} -> {self.after}"

    def applied(self, source: bytes) -> bytes:
        """The module's source with the fault in it."""
        return source[: self.start] + self.after.encode() + source[self.end :]


def mutations(root: Path, module: str) -> list[Mutation]:
    """Every mutation of ``root / module``, in the order of the text."""
    source = (root / module).read_bytes()
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    found = set()
    for node, *where in nodes(ast.parse(source)):
        for old, new in faults(node):
            start = starts[old.lineno - 1] + old.col_offset
            end = starts[old.end_lineno - 1] + old.end_col_offset
            before, after = " ".join(ast.unparse(old).split()), ast.unparse(new)
            if isinstance(new, ast.expr):
                after = f"({after})"  # binds as tightly as what stood there
            text = lines[old.lineno - 1].decode().strip()
            found.add(Mutation(module, old.lineno, start, end, before, after, text, *where))
    return sorted(found, key=lambda m: (m.start, m.end, m.after))


def nodes(tree: ast.Module) -> Iterator[tuple[ast.AST, str, bool]]:
    """Every node that runs in Python; the function it lies in; whether in that one's body.

    What lies in a function inside a function lies in the outer one.
    """

    def walk(node: ast.AST, scope: str, function: str, in_body: bool) -> Iterator:
        if isinstance(node, ast.JoinedStr) or not_python(node):
            return
        defines = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not in_body
        if defines:
            function = f"{scope}{node.name}"
        if isinstance(node, ast.ClassDef):
            scope = f"{scope}{node.name}."
        yield node, function, in_body
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and field not in ("annotation", "returns"):
                    yield from walk(
                        child, scope, function, in_body or (defines and field == "body")
                    )

    yield from walk(tree, "", "", False)


def not_python(node: ast.AST) -> bool:
    """A function that Triton compiles, or what only a command line runs."""
    decorators = getattr(node, "decorator_list", ())
    return any("triton.jit" in ast.unparse(decorator) for decorator in decorators) or (
        isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)
    )


def faults(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """(part of ``node``, what it becomes by one slip)."""
    match node:
        case ast.Compare(ops=[first, *others]):
            for other in COMPARISONS[type(first)]:
                yield node, changed(node, ops=[other(), *others])
        case ast.BinOp(op=op) | ast.AugAssign(op=op):
            yield node, changed(node, op=ARITHMETIC[type(op)]())
        case ast.BoolOp(op=op):
            yield node, changed(node, op=ast.And() if isinstance(op, ast.Or) else ast.Or())
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node, node.operand
        case ast.Constant(value=bool() as value):
            yield node, ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield node, ast.Constant(value + 1)
        case ast.Constant(value=float() as value):
            yield node, ast.Constant(value * 1.5 if value else 1.0)
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            yield test, ast.UnaryOp(ast.Not(), test)
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield value, ast.Constant(None)
        case ast.Expr(value=value) if not isinstance(value, ast.Constant | ast.Yield):
            yield node, ast.Pass()
        case ast.Raise() | ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield node, ast.Pass()
        case ast.Break():
            yield node, ast.Continue()
        case ast.Continue():
            yield node, ast.Break()
        case ast.arguments(defaults=defaults, kw_defaults=kw_defaults):
            for default in (*defaults, *kw_defaults):
                if isinstance(default, ast.Constant) and isinstance(default.value, str):
                    yield default, ast.Constant(default.value + "_")


def changed(node: ast.AST, **fields) -> ast.AST:
    """A copy of ``node`` with other fields."""
    other = copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other
