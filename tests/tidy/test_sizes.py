"""Modules and functions stay small enough to be read at once; a longer one carries its reason.

The reason is a comment ``tidy: long because ...`` on the first lines of the module, or on (or above) the def line.
"""

import ast

from tests.tidy.sources import Source, everything

MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
REASON = "tidy: long because"


def test_modules_have_one_noun() -> None:
    long = [
        f"{source.path}: {len(source.lines)} lines"
        for source in everything()
        if len(source.lines) > MODULE_LINES_MAX and not any(REASON in line for line in source.lines[:40])
    ]
    assert not long


def test_functions_fit_a_screen() -> None:
    long = []
    for source in everything():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX and not _reason(source, node):
                    long.append(f"{source.at(node)} {node.name}: {lines} lines")
    assert not long


def test_no_inheritance_deeper_than_one() -> None:
    """Of classes of ours: no base is itself derived from one of ours (Struct, Protocol and the like do not count)."""
    bases: dict[str, list[str]] = {}
    where: dict[str, str] = {}
    for source in everything():
        if not source.path.startswith("zetcd/"):
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
                where[node.name] = source.at(node)
    deep = []
    for name, parents in bases.items():
        for parent in parents:
            grand = [other for other in bases.get(parent, []) if other in bases]
            if grand and "Protocol" not in bases[grand[0]]:
                deep.append(f"{where[name]} {name} < {parent} < {grand[0]}")
    assert not deep


def _reason(source: Source, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return REASON in source.comment(node.lineno) or REASON in source.comment(first)
