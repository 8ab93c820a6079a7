"""
The texts below the attributes of a class, which documents quote as their descriptions.

They are read from the source when a document is made. pydantic's `use_attribute_docstrings` reads
it when a class is defined: in each start, and once more for each class of a module.
"""

import ast
import inspect
import sys
from functools import cache
from itertools import pairwise


@cache
def attribute_docstrings(cls: type) -> dict[str, str]:
    """
    Map the attributes that the class declares or inherits to the text below each, if any.

    It inherits none from another package, such as pydantic: that would be long to read.
    """
    package = _package(cls)
    found: dict[str, str] = {}
    for each in reversed([each for each in cls.__mro__ if _package(each) == package]):
        declared = inspect.get_annotations(each)
        own = _docstrings_by_class(each.__module__).get(each.__qualname__, {}) if declared else {}
        found = {name: text for name, text in found.items() if name not in declared} | own
    return found


def _package(cls: type) -> str:
    return cls.__module__.partition(".")[0]


@cache
def _docstrings_by_class(module: str) -> dict[str, dict[str, str]]:
    """The docstrings of the attributes, by class, of all classes that stand in the module."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {each.name: dict(_docstrings_in(each)) for each in classes}


def _docstrings_in(node: ast.ClassDef) -> list[tuple[str, str]]:
    return [
        (declared.target.id, inspect.cleandoc(text.value.value))
        for declared, text in pairwise(node.body)
        if isinstance(declared, ast.AnnAssign)
        and isinstance(declared.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    ]
