"""Small changes of a module, made by cosmic-ray's operators."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).parents[2]
_BINARY = ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul", "Pow_Mul", "BitOr_BitAnd",
           "BitAnd_BitOr", "BitXor_BitAnd")  # fmt: skip
_COMPARISON = ("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt",
               "Is_IsNot", "IsNot_Is")  # fmt: skip
OPERATORS = (
    *(f"core/ReplaceBinaryOperator_{name}" for name in _BINARY),
    *(f"core/ReplaceComparisonOperator_{name}" for name in _COMPARISON),
    *("core/ReplaceUnaryOperator_USub_UAdd", "core/ReplaceUnaryOperator_Delete_Invert", "core/AddNot"),
    *("core/ReplaceUnaryOperator_Delete_Not", "core/ReplaceTrueWithFalse", "core/ReplaceFalseWithTrue"),
    *("core/ReplaceAndWithOr", "core/ReplaceOrWithAnd", "core/ReplaceBreakWithContinue"),
    *("core/ReplaceContinueWithBreak", "core/ExceptionReplacer", "core/NumberReplacer", "core/RemoveDecorator"),
    "core/ZeroIterationForLoop",
)
"""Those that change what code does; not, say, `==` for `is`, which mostly leaves it as it was or cannot be imported."""


class Mutant(NamedTuple):
    """One change.

    Attributes:
        path: of the module, from the root of the repository.
        line: where.
        operator, occurrence: cosmic-ray's.
    """

    path: str
    line: int
    operator: str
    occurrence: int

    @property
    def code(self) -> str:
        """The changed module."""
        code = mutate_code((ROOT / self.path).read_text(), _operator(self.operator), self.occurrence)
        assert code is not None
        return str(code)

    def shown(self) -> str:
        """The line before and after."""
        before, after = (ROOT / self.path).read_text().splitlines(), self.code.splitlines()
        at = next((n for n, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), self.line - 1)
        return f"{self.path}:{at + 1} {before[at].strip()}  →  {after[at].strip()}"


def mutants_of(path: str) -> Iterator[Mutant]:
    """All changes of a module, but for those in annotations, which nothing reads, and of what decorates a class.

    Whether a dataclass is frozen or has slots is for whoever writes the code, and for memory.
    """
    source = (ROOT / path).read_text()
    annotations = list(_not_behaviour(ast.parse(source)))
    nodes = list(ast_nodes(get_ast(source)))
    for name in OPERATORS:
        occurrence = 0
        for node in nodes:
            for start, end in _operator(name).mutation_positions(node):
                if not any(first <= start and end <= last for first, last in annotations):
                    yield Mutant(path, start[0], name, occurrence)
                occurrence += 1


@cache
def _operator(name: str) -> Any:
    return get_operator(name)()


def _not_behaviour(tree: ast.AST) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for node in ast.walk(tree):
        parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for part in parts + (node.decorator_list if isinstance(node, ast.ClassDef) else []):
            if isinstance(part, ast.expr) and part.end_lineno is not None and part.end_col_offset is not None:
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)
