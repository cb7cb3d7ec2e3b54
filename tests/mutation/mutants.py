"""The changes that are tried: those of cosmic-ray, and statements left out."""

from __future__ import annotations

import ast
import difflib
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import MutationVisitor
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names

from mutation.targets import TOP, Target


class DeleteStatement(Operator):
    """Puts `pass` in the place of a statement."""

    _KINDS: Final = {
        "expr_stmt",
        "atom_expr",
        "power",
        "await_expr",
        "yield_expr",
        "del_stmt",
        "return_stmt",
        "raise_stmt",
    }

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        """Where such a statement stands."""
        if node.type == "simple_stmt" and node.children[0].type in self._KINDS:
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """The same line with `pass` in it."""
        passing = parso.parse("pass").children[0]
        passing.prefix = node.get_first_leaf().prefix
        node.children[0] = passing
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        """None: they are for cosmic-ray's own tests."""
        return ()


@dataclass(frozen=True)
class Mutant:
    """A module with one change.

    Attributes:
        module: the name that it is imported under.
        file: its path, from the top of the project.
        operator: what made the change.
        line: where it was made.
        source: the module's text with it.
    """

    module: str
    file: str
    operator: str
    line: int
    source: str

    @property
    def change(self) -> str:
        """The lines that differ, as they were and as they are."""
        lines = difflib.unified_diff(_text(self.file).splitlines(), self.source.splitlines(), n=0)
        return " → ".join(line[1:].strip() for line in list(lines)[3:])

    @property
    def inside(self) -> bool:
        """Whether the change lies within a function's body."""
        functions = [
            each for each in _statements(self.file) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        return any(each.body[0].lineno <= self.line <= (each.end_lineno or 0) for each in functions)

    @property
    def statement(self) -> range:
        """The lines of the statement that was changed, up to its body if it has one."""
        *_, inmost = (each for each in _statements(self.file) if each.lineno <= self.line <= (each.end_lineno or 0))
        body = getattr(inmost, "body", None)
        return range(inmost.lineno, body[0].lineno if body else (inmost.end_lineno or 0) + 1)


@cache
def _text(file: str) -> str:
    return (TOP / file).read_text("utf-8")


@cache
def _statements(file: str) -> list[ast.stmt]:
    """All statements of a file, outer ones first."""
    return [each for each in ast.walk(ast.parse(_text(file))) if isinstance(each, ast.stmt)]


def mutants(target: Target, only: str = "") -> Iterator[Mutant]:
    """The mutants of a target, of lines that hold `only`.

    Those that are the same program are one, and one that is the original none.
    """
    for module, file in target.modules.items():
        source = _text(file)
        seen = {_meaning(source)}
        for operator, line, mutated in _changes(source, only):
            if (meaning := _meaning(mutated)) not in seen:
                seen.add(meaning)
                yield Mutant(module, file, operator, line, mutated)


def _changes(source: str, only: str) -> Iterator[tuple[str, int, str]]:
    """The operator, the line and the text of each change."""
    tree, text = get_ast(source), source.splitlines()
    nodes, kept = list(ast_nodes(tree)), pickle.dumps(tree)  # to parse it again takes longer
    for name, operator in _operators():
        lines = [line for node in nodes for (line, _), _ in operator.mutation_positions(node)]
        for occurrence, line in enumerate(lines):
            if only not in text[line - 1]:
                continue
            changed = MutationVisitor(occurrence, operator).walk(pickle.loads(kept))  # noqa: S301 -- our own
            yield name, line, changed.get_code()


_LEFT_OUT: Final = re.compile(
    r"ReplaceBinaryOperator_(?!Add_Sub|Sub_Add|Mul_Div|Div_Mul|BitOr_BitAnd)"  # one other each: the rest is cruder
    r"|ReplaceComparisonOperator_(?!.*(Eq|Lt|Gt|LtE|GtE)_(Eq|NotEq|Lt|Gt|LtE|GtE)$|Is_IsNot|IsNot_Is)"
)
"""What mixes up identity and order, or numbers and bits, and so can hardly go unnoticed."""


def _operators() -> Iterator[tuple[str, Operator]]:
    yield "DeleteStatement", DeleteStatement()
    for name in operator_names():
        operator = get_operator(name)
        if not operator.arguments() and not _LEFT_OUT.match(name.removeprefix("core/")):
            yield name.removeprefix("core/"), operator()


class _Unannotated(ast.NodeTransformer):
    """Takes out annotations, which are never evaluated."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def _meaning(source: str) -> str:
    try:
        return ast.dump(_Unannotated().visit(ast.parse(source)))
    except SyntaxError:
        return ""
