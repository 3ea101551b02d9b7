"""What a Python file imports, wherever in it: at the top, inside functions, for type checkers alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """module, in `file`, line `line`, imports `target`, a dotted name without leading dots."""

    module: str
    target: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.module} imports {self.target}"


def imports_under(root: Path, folder: str) -> list[Import]:
    """All imports of the Python files in `folder`, a path relative to the repository's `root`."""
    found = []
    for path in sorted((root / folder).rglob("*.py")):
        file = path.relative_to(root)
        found += imports_of(path.read_text(encoding="utf-8"), file.as_posix())
    return found


def imports_of(source: str, file: str) -> list[Import]:
    """All imports of one file. `from package import name` gives package.name: whoever asks may shorten it."""
    parts = file.removesuffix(".py").split("/")
    inside = parts[:-1]  # the package that a single leading dot means
    module = ".".join(inside if parts[-1] == "__init__" else parts)
    return [
        Import(module, target, file, node.lineno)
        for node in ast.walk(ast.parse(source))
        for target in _targets(node, inside)
    ]


def _targets(node: ast.AST, inside: list[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = inside[: len(inside) - node.level + 1] if node.level else []
        start = [*above, node.module] if node.module else above
        yield from (".".join([*start, alias.name]) for alias in node.names)
    elif isinstance(node, ast.Call) and _imports_by_name(node.func) and node.args:
        name = node.args[0]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield name.value


def _imports_by_name(function: ast.expr) -> bool:
    """import_module("..."), importlib.import_module("...") and __import__("...")."""
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("import_module", "__import__")
