"""Python files as the house rules see them: their module names and what they import.

Covers: reading a tree's files.
Does not cover: the rules (test_architecture.py).
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

FRONT = "funkflow"
"""The one import name; funkflow/ holds links to the folders that are imported by it."""
INSTALLED = ("conf", "pipeline", "tasks")
PACKAGES = (FRONT, "pipeline", "tasks")


@dataclass(frozen=True)
class Import:
    """One imported module, and whether the import stands inside a function."""

    name: str
    line: int
    in_function: bool


@dataclass(frozen=True)
class Source:
    """One Python file: its path from the root, and its dotted module name."""

    path: Path
    root: Path

    @property
    def where(self) -> str:
        return self.path.relative_to(self.root).as_posix()

    @property
    def module(self) -> str:
        name = self.where.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return f"{FRONT}.{name}" if name.split(".")[0] in INSTALLED else name

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @cached_property
    def imports(self) -> list[Import]:
        found: list[Import] = []
        ahead: deque[tuple[ast.AST, bool]] = deque([(self.tree, False)])  # breadth first, as ast.walk goes
        while ahead:
            node, inside = ahead.popleft()
            found += (Import(name, getattr(node, "lineno", 0), inside) for name in self._names(node))
            inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            ahead += ((child, inside) for child in ast.iter_child_nodes(node))
        return found

    def _names(self, node: ast.AST) -> Iterator[str]:
        """Yield what a node imports; of `from a import b` it is `a.b` where that is a module of ours, else `a`."""
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = self.module.split(".") if self.path.name == "__init__.py" else self.module.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
            yield from (
                f"{base}.{alias.name}" if self._is_module(f"{base}.{alias.name}") else base for alias in node.names
            )
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "__import__",
            "import_module",
            "late",
        ):
            first = node.args[0] if node.args else None
            yield first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else "<computed>"

    def _is_module(self, name: str) -> bool:
        path = self.root / name.removeprefix(f"{FRONT}.").replace(".", "/")
        return path.with_suffix(".py").is_file() or path.is_dir()


def sources(root: Path, folders: tuple[str, ...] = PACKAGES) -> list[Source]:
    """Return the files below folders of a tree; one that is asked for again is not read again, unless it changed."""
    paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    return [_source(path, root, path.stat().st_mtime_ns) for path in paths]


@cache
def _source(path: Path, root: Path, _written: int) -> Source:
    return Source(path, root)
