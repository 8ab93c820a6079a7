"""
Sizes and docstrings of the product's code: `python3 dev.py figures`; `test_structure` limits them.

The files are parsed, not imported. Lines include blank lines and docstrings. A function's lines
extend from its first decorator to its end.
"""

import ast
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST = 10


@dataclass(frozen=True, slots=True)
class File:
    """A file of the product; `name` is its path relative to the repository, with slashes."""

    name: str
    lines: int


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method; `name` is `path::Class.method`, or `path::outer.inner` if nested."""

    name: str
    lines: int
    docstring: str | None
    is_public: bool
    raises: bool

    @property
    def documents_exception(self) -> bool:
        """Whether the docstring mentions raising; a word search, not a check of the type."""
        return "raise" in (self.docstring or "").lower()


def product_files() -> list[Path]:
    """Return the paths of the product's Python files."""
    return [*sorted((ROOT / "daemon").rglob("*.py")), ROOT / "dev.py"]


def files() -> list[File]:
    """Measure all files of the product."""
    return [File(_name(path), len(path.read_text().splitlines())) for path in product_files()]


def functions() -> list[Function]:
    """Measure all functions and methods of the product, including nested ones."""
    return [
        function
        for path in product_files()
        for function in functions_of(path.read_text(), _name(path))
    ]


def functions_of(source: str, name: str) -> list[Function]:
    """Measure the functions of one file, in the order of the file."""
    return list(_functions(ast.parse(source), f"{name}::", public=True))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _functions(node: ast.AST, prefix: str, *, public: bool) -> Iterator[Function]:
    """`public` is whether the code around it is public; functions nested in others never are."""
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
    """Whether it contains a `raise` of an exception, outside nested functions and classes."""
    if isinstance(node, ast.Raise):
        return node.exc is not None
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
        return False
    return any(_raises(inner) for inner in ast.iter_child_nodes(node))


def _largest(measured: Iterable[File | Function]) -> list[str]:
    longest = sorted(measured, key=lambda each: (-each.lines, each.name))[:LONGEST]
    return [f"  {each.lines:4}  {each.name}" for each in longest]


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole}, {100 * part / whole:.0f} %"


def report() -> Iterator[str]:
    """Yield the lines of the report: each figure, followed by the ten longest of its kind."""
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
    undocumented = [each for each in public if each.docstring is None]
    documented = _share(len(public) - len(undocumented), len(public))
    yield f"public functions with a docstring: {documented}"
    yield "  the longest without one:"
    yield from _largest(undocumented)
    raising = [each for each in public if each.raises]
    silent = [each for each in raising if not each.documents_exception]
    documented = _share(len(raising) - len(silent), len(raising))
    yield f"public functions that raise and document it: {documented}"
    yield "  the longest that do not:"
    yield from _largest(silent)


if __name__ == "__main__":
    for line in report():
        print(line)
