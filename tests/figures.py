"""
Measures the product: `python3 dev.py figures` prints it, `test_structure` holds it to limits.

Only the syntax tree is read; nothing is imported. A line is a line of the file, blank ones and
docstrings included; a function's are those from its first decorator to its end.
"""

import ast
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORST = 10


@dataclass(frozen=True, slots=True)
class File:
    """A file of the product; `name` is its path below the root, with slashes."""

    name: str
    lines: int


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method; `name` is `path::Class.method`, nested ones below the outer."""

    name: str
    lines: int
    docstring: str | None
    is_public: bool
    raises: bool

    @property
    def says_what_it_raises(self) -> bool:
        return "raise" in (self.docstring or "").lower()


def product_files() -> list[Path]:
    return [*sorted((ROOT / "daemon").rglob("*.py")), ROOT / "dev.py"]


def files() -> list[File]:
    """All of the product's files."""
    return [File(_name(path), len(path.read_text().splitlines())) for path in product_files()]


def functions() -> list[Function]:
    """All functions and methods of the product, nested ones included."""
    return [
        function
        for path in product_files()
        for function in functions_of(path.read_text(), _name(path))
    ]


def functions_of(source: str, name: str) -> list[Function]:
    """The functions of one file, in its order."""
    return list(_functions(ast.parse(source), f"{name}::", public=True))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _functions(node: ast.AST, prefix: str, *, public: bool) -> Iterator[Function]:
    """`public`: whether all that this node lies in is."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.ClassDef):
            is_public = public and not inner.name.startswith("_")
            yield from _functions(inner, f"{prefix}{inner.name}.", public=is_public)
        elif isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{prefix}{inner.name}"
            yield _measured(inner, name, public=public)
            yield from _functions(inner, f"{name}.", public=False)
        else:
            yield from _functions(inner, prefix, public=public)


def _measured(
    function: ast.FunctionDef | ast.AsyncFunctionDef, name: str, *, public: bool
) -> Function:
    first = min([function.lineno, *(each.lineno for each in function.decorator_list)])
    assert function.end_lineno is not None
    return Function(
        name,
        lines=function.end_lineno - first + 1,
        docstring=ast.get_docstring(function),
        is_public=public and not function.name.startswith("_"),
        raises=any(_raises(statement) for statement in function.body),
    )


def _raises(node: ast.AST) -> bool:
    """Whether it holds a `raise` of its own: no bare one, and none of a function inside."""
    if isinstance(node, ast.Raise):
        return node.exc is not None
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
        return False
    return any(_raises(inner) for inner in ast.iter_child_nodes(node))


def _largest(measured: Iterable[File | Function]) -> list[str]:
    worst = sorted(measured, key=lambda each: (-each.lines, each.name))[:WORST]
    return [f"  {each.lines:4}  {each.name}" for each in worst]


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole}, {100 * part / whole:.0f} %"


def report() -> Iterator[str]:
    """The figures and the worst of each kind, line by line."""
    all_files, all_functions = files(), functions()
    lines = sorted(each.lines for each in all_files)
    yield f"files: {len(lines)}, median {statistics.median(lines):.0f} lines, largest {lines[-1]}"
    yield from _largest(all_files)
    lines = sorted(each.lines for each in all_functions)
    percentile = statistics.quantiles(lines, n=10, method="inclusive")[-1]
    yield (
        f"functions: {len(lines)}, median {statistics.median(lines):.0f} lines, "
        f"90th percentile {percentile:.0f}, largest {lines[-1]}"
    )
    yield from _largest(all_functions)
    public = [each for each in all_functions if each.is_public]
    bare = [each for each in public if each.docstring is None]
    yield f"public functions with a docstring: {_share(len(public) - len(bare), len(public))}"
    yield "  the longest without:"
    yield from _largest(bare)
    raising = [each for each in public if each.raises]
    silent = [each for each in raising if not each.says_what_it_raises]
    said = _share(len(raising) - len(silent), len(raising))
    yield f"public functions that raise and say so: {said}"
    yield "  the longest that do not:"
    yield from _largest(silent)


if __name__ == "__main__":
    for line in report():
        print(line)
