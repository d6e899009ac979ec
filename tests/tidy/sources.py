"""The Python files of this repository, parsed once, as the tidy tests read them."""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

BELOW_HOST = (
    "base", "wire", "raft", "mvcc", "wal", "lease", "watch", "concurrency", "compactor", "cluster", "auth", "snapshot",
    "bolt", "state", "service", "session",
)  # fmt: skip
"""Rooms below the host floor: pure and deterministic."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file: its path relative to the root, its lines, its tree."""

    path: str
    lines: list[str]
    tree: ast.Module

    @property
    def room(self) -> str:
        """The package under zetcd/ the file lives in; empty for tests and top-level modules."""
        parts = self.path.split("/")
        return parts[1].removesuffix(".py") if parts[0] == "zetcd" and len(parts) > 1 else ""

    def at(self, node: ast.expr | ast.stmt | ast.ExceptHandler) -> str:
        """``path:line`` of node, for messages."""
        return f"{self.path}:{node.lineno}"

    def comment(self, line: int) -> str:
        """The comment at the end of line (counted from 1) or alone on the line above; empty where there is none."""
        here = self.lines[line - 1].partition("#")[2].strip()
        above = self.lines[line - 2].strip() if line > 1 else ""
        return here or (above.removeprefix("#").strip() if above.startswith("#") else "")


@functools.cache
def sources(top: str) -> tuple[Source, ...]:
    """Every Python file under ROOT/top, sorted by path."""
    found = []
    for path in sorted((ROOT / top).rglob("*.py")):
        if "node_modules" in path.parts:
            continue
        text = path.read_text()
        found.append(Source(str(path.relative_to(ROOT)), text.splitlines(), ast.parse(text)))
    return tuple(found)


def server() -> tuple[Source, ...]:
    """The files of the product."""
    return sources("zetcd")


def everything() -> tuple[Source, ...]:
    """The files of the product and of its tests."""
    return server() + sources("tests")


def imported(source: Source) -> Iterator[tuple[str, int]]:
    """Top-level names of the modules that source imports anywhere, with the line."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno


def called(node: ast.Call) -> str:
    """Dotted name of what node calls, empty where it is not a plain name."""
    parts = []
    function = node.func
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if not isinstance(function, ast.Name):
        return ""
    return ".".join([function.id, *reversed(parts)])
