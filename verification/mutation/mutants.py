"""Makes the mutants of a module: copies of its text, each with one small error in it.

A mutant is cut into the text of the module and is otherwise the very same text, so it can be shown as one changed line.
Every mutant can be compiled. The same text always gives the same mutants in the same order.

What is never run is left alone: types, docstrings, imports, `__all__`, and what is said to a type checker only.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import unified_diff
from itertools import pairwise

__all__ = ["Mutant", "mutants"]

ORDER: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<", "<=", ">="),
    ast.LtE: ("<=", "<", ">"),
    ast.Gt: (">", ">=", "<="),
    ast.GtE: (">=", ">", "<"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.BitOr: ("|", "&"),
    ast.BitAnd: ("&", "|"),
}
LONGEST = 70


@dataclass(frozen=True, slots=True)
class Mutant:
    """One small error: ``text`` (the line) and ``change`` find it again when lines have shifted; ``where`` is for people.

    It puts ``put`` in the place of the bytes from ``start`` to ``end``. The lines from ``first`` to ``last`` are those of
    the statement that it is part of: a test that runs none of them cannot notice it.
    """

    where: str
    text: str
    change: str
    start: int
    end: int
    put: str
    first: int
    last: int

    def of(self, source: str) -> str:
        """Return the text of the module with the error in it."""
        data = source.encode()
        return (data[: self.start] + self.put.encode() + data[self.end :]).decode()

    def diff(self, source: str) -> str:
        """Show what is changed, as lines of a unified diff."""
        lines = unified_diff(source.splitlines(), self.of(source).splitlines(), lineterm="", n=0)
        return "\n".join(line for line in lines if not line.startswith(("---", "+++")))


def mutants(source: str) -> list[Mutant]:
    """Return all mutants of a module, in the order of its text."""
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    found = sorted(finder.found, key=lambda mutant: (mutant.start, mutant.end, mutant.put))
    seen: Counter[tuple[str, str]] = Counter()
    told = []
    for mutant in found:
        key = (mutant.text, mutant.change)
        seen[key] += 1
        told.append(mutant if seen[key] == 1 else replace(mutant, change=f"{mutant.change} (no. {seen[key]})"))
    return told


class _Finder(ast.NodeVisitor):
    """Walks through a module and notes every error that could be put into it."""

    def __init__(self, source: str) -> None:
        self.found: list[Mutant] = []
        self._source = source
        self._data = source.encode()
        self._lines = source.splitlines()
        self._starts = [0]
        for line in self._data.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._where: list[str] = []
        self._functions = 0
        self._span = (1, 1)

    # -- places and pieces of the text -----------------------------------------------------------------------------

    def _start(self, node: ast.expr | ast.stmt | ast.keyword | ast.pattern) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt | ast.keyword | ast.pattern) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.expr | ast.stmt | ast.keyword | ast.pattern) -> str:
        return self._data[self._start(node) : self._end(node)].decode()

    def _note(self, start: int, end: int, put: str, change: str = "") -> None:
        """Note an error; where something is left out, only if the text is still a program."""
        line = self._data.count(b"\n", 0, start)
        old = self._data[start:end].decode()
        mutant = Mutant(
            where=".".join(self._where) or "(module)",
            text=self._lines[line].strip(),
            change=change or f"{_short(old)} → {_short(put)}",
            start=start,
            end=end,
            put=put,
            first=self._span[0],
            last=self._span[1],
        )
        if put or _is_program(mutant.of(self._source)):
            self.found.append(mutant)

    def _swap(self, node: ast.expr | ast.stmt | ast.pattern, put: str, change: str = "") -> None:
        self._note(self._start(node), self._end(node), put, change)

    def _drop_from(self, parts: Sequence[ast.expr | ast.keyword], end: int) -> None:
        """Note, for each part of a list that ends at ``end``, the list without it."""
        starts = [self._start(part) for part in parts]
        for part, (start, following) in zip(parts, pairwise([*starts, end]), strict=True):
            self._note(start, following, "", f"without {_short(self._text(part))}")

    # -- the walk --------------------------------------------------------------------------------------------------

    def visit(self, node: ast.AST) -> None:
        """Note the errors of a node and of what is in it."""
        if _is_for_types(node):
            return
        before = self._span
        if isinstance(node, ast.stmt):
            self._span = _span_of(node)
            self._statement(node)
        elif isinstance(node, ast.expr):
            self._expression(node)
        super().visit(node)
        self._span = before

    def generic_visit(self, node: ast.AST) -> None:
        """Go on into everything but types and docstrings."""
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_docstring(child):
                    self.visit(child)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Go into a class, but not into what it is derived from."""
        self._where.append(node.name)
        for child in (*node.keywords, *(part for part in node.body if not _is_docstring(part))):
            self.visit(child)
        self._where.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Go into a function."""
        self._where.append(node.name)
        self.visit(node.args)
        self._functions += 1
        for child in node.body:
            if not _is_docstring(child):
                self.visit(child)
        self._functions -= 1
        self._where.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815  # the name that ast gives it

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Take a text with values in it as one: what is in it has no reliable place before Python 3.12."""

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """Catch less than before."""
        self._span = (node.lineno, max(node.lineno, node.body[0].lineno - 1))
        if isinstance(node.type, ast.Tuple):
            self._drop_from(node.type.elts, self._end(node.type) - 1)
        elif node.type is not None:
            self._swap(node.type, "()")
        for child in node.body:
            self.visit(child)

    def visit_match_case(self, node: ast.match_case) -> None:
        """Do nothing in one case, and then what belongs to the case itself."""
        if not (isinstance(node.pattern, ast.MatchAs) and node.pattern.pattern is None):
            change = f"case {_short(self._text(node.pattern))} does nothing"
            self._note(self._start(node.body[0]), self._end(node.body[-1]), "pass", change)
        self.generic_visit(node)

    # -- statements ------------------------------------------------------------------------------------------------

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.If(test=test) | ast.While(test=test) | ast.Assert(test=test):
                self._negate(test)
            case ast.Return(value=ast.expr() as value):
                self._to_nothing(value)
            case ast.Return() | ast.Expr() | ast.Delete():
                self._swap(node, "pass")
            case ast.Raise(exc=error):
                self._swap(node, "pass")
                if isinstance(error, ast.Call) and isinstance(error.func, ast.Name):
                    self._swap(error.func, "Exception")
            case ast.Break():
                self._swap(node, "continue")
            case ast.Continue():
                self._swap(node, "break")
                self._swap(node, "pass")
            case ast.AugAssign():
                self._augmented(node)
            case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assigned(node, target, value)

    def _assigned(self, node: ast.stmt, target: ast.expr, value: ast.expr) -> None:
        if not self._functions:
            return
        if not isinstance(target, ast.Name):
            self._swap(node, "pass")
        if not isinstance(target, ast.Tuple):
            self._to_nothing(value)

    def _augmented(self, node: ast.AugAssign) -> None:
        self._swap(node, "pass")
        sign, other = ARITHMETIC[type(node.op)]
        gap = self._end(node.target)
        at = self._data.index(f"{sign}=".encode(), gap, self._start(node.value))
        for put in (f"{other}=", "="):
            self._note(at, at + len(sign) + 1, put, f"{sign}= → {put}")

    def _to_nothing(self, value: ast.expr) -> None:
        if not (isinstance(value, ast.Constant) and value.value is None):
            self._swap(value, "None")

    def _negate(self, test: ast.expr) -> None:
        """Turn a condition round, unless that is done where its operator is."""
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            return
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return
        self._swap(test, f"not ({self._text(test)})")

    # -- expressions -----------------------------------------------------------------------------------------------

    def _expression(self, node: ast.expr) -> None:
        match node:
            case ast.Constant():
                self._constant(node)
            case ast.JoinedStr():
                self._swap(node, '""')
            case ast.UnaryOp():
                self._swap(node, self._text(node.operand))
            case ast.BinOp():
                sign, put = ARITHMETIC[type(node.op)]
                self._operator(node.left, node.right, sign, put)
            case ast.Compare():
                self._compared(node)
            case ast.BoolOp():
                self._combined(node)
            case ast.IfExp(test=test):
                self._negate(test)
            case ast.Lambda(body=body):
                self._to_nothing(body)
            case ast.Subscript(slice=ast.Slice(), ctx=ast.Load()):
                self._swap(node, self._text(node.value))
            case _:
                self._of_many(node)

    def _of_many(self, node: ast.expr) -> None:
        match node:
            case ast.Call():
                self._drop_from([word for word in node.keywords if word.arg is not None], self._end(node) - 1)
            case ast.Dict():
                self._entries(node)
            case ast.List(ctx=ast.Load()) | ast.Set():
                self._drop_from(node.elts, self._end(node) - 1)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                self._filtered(node.generators)

    def _filtered(self, loops: list[ast.comprehension]) -> None:
        for loop in loops:
            for test in loop.ifs:
                self._negate(test)
                self._swap(test, "True")

    def _constant(self, node: ast.Constant) -> None:
        match node.value:
            case bool(value):
                self._swap(node, str(not value))
            case int(value) | float(value):
                self._swap(node, repr(value + 1))
                self._swap(node, repr(value - 1))
            case str(value):
                self._swap(node, '""' if value else '"mutant"')
            case bytes(value):
                self._swap(node, 'b""' if value else 'b"mutant"')

    def _operator(self, left: ast.expr, right: ast.expr, sign: str, *puts: str) -> None:
        """Put another operator between two operands; the gap may hold brackets."""
        start, end = self._end(left), self._start(right)
        gap = self._data[start:end].decode()
        at = re.search(rf"(?<!\w){re.escape(sign)}(?!\w)" if sign.isalpha() else re.escape(sign), gap)
        assert at is not None
        for put in puts:
            self._note(start + at.start(), start + at.end(), put, f"{self._pair(left, right, sign)} → {put}")

    def _pair(self, left: ast.expr, right: ast.expr, sign: str) -> str:
        return f"{_short(self._text(left), 30)} {sign} {_short(self._text(right), 30)}"

    def _compared(self, node: ast.Compare) -> None:
        for (left, right), operator in zip(pairwise([node.left, *node.comparators]), node.ops, strict=True):
            self._operator(left, right, *ORDER[type(operator)])
            if isinstance(operator, (ast.In, ast.NotIn)) and isinstance(right, ast.Tuple):
                self._drop_from(right.elts, self._end(right) - 1)

    def _combined(self, node: ast.BoolOp) -> None:
        """Exchange `and` and `or`, and leave each operand out."""
        word, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        parts = [self._bracketed(value) for value in node.values]
        for index, (left, right) in enumerate(pairwise(node.values)):
            one = [*parts[:index], f"{parts[index]} {other} {parts[index + 1]}", *parts[index + 2 :]]
            self._swap(node, f"({f' {word} '.join(one)})", f"{self._pair(left, right, word)} → {other}")
        for index, value in enumerate(node.values):
            rest = f" {word} ".join([*parts[:index], *parts[index + 1 :]])
            self._swap(node, f"({rest})", f"without {_short(self._text(value))}")

    def _bracketed(self, node: ast.expr) -> str:
        text = self._text(node)
        return f"({text})" if isinstance(node, (ast.BoolOp, ast.IfExp, ast.Lambda, ast.NamedExpr)) else text

    def _entries(self, node: ast.Dict) -> None:
        keys = [key for key in node.keys if key is not None]
        if len(keys) == len(node.keys):
            self._drop_from(keys, self._end(node) - 1)


def _short(text: str, longest: int = LONGEST) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _is_program(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False  # of something in brackets only a half was left out
    return True


def _span_of(node: ast.stmt) -> tuple[int, int]:
    """Return the lines of a simple statement, or those of the head of one that holds others."""
    assert node.end_lineno is not None
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    if isinstance(node, (ast.Match, ast.Try)):  # a case is looked at without a statement of its own
        return first, node.end_lineno
    body = getattr(node, "body", None)
    return first, node.end_lineno if not body else max(node.lineno, body[0].lineno - 1)


def _is_docstring(node: ast.AST) -> bool:
    """Tell a text that stands alone."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_for_types(node: ast.AST) -> bool:
    """Tell what only a type checker needs, and what only names things."""
    match node:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
        case ast.Call(func=ast.Name(id="TypeVar" | "cast")):
            return True
        case ast.Subscript(value=ast.Name(id="Literal")):
            return True
    return False
