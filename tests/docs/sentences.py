"""
The sentences that customers read when something fails, extracted from the code of `daemon/`.

Nothing of `daemon/` is imported: the syntax tree is enough. A placeholder of an f-string becomes
`…`. A sentence is found where it is passed to one of CALLS, where it is a value of a dict of one of
DICTS, where `__str__` returns it, and where a module below CONSTANTS has it as a constant. An
argument may be a string, a constant, a local variable, or a call of a function of `daemon/`, whose
returned strings are then the sentences.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACEHOLDER = "…"


@dataclass(frozen=True, slots=True)
class Argument:
    """
    The argument of a call that is a sentence, and the heading of docs/errors.md it belongs under.

    `within` limits the calls to files below these folders; `prefix` is what callers put before the
    sentence.
    """

    position: int
    heading: str
    keyword: str = ""
    within: tuple[str, ...] = ("daemon/",)
    prefix: str = ""


ATTEMPTS, API, FILTERS = "Delivery attempts", "API answers", "Filters"
MAIL, HEALTH, OURS = "Mail and notices", "Health of an endpoint", "Faults of this service"

# By the called name: a class (its subclasses too) or a function.
CALLS = {
    "Failure": Argument(1, ATTEMPTS, keyword="message"),
    "Verdict": Argument(2, ATTEMPTS, keyword="error"),
    "Refusal": Argument(0, ATTEMPTS, keyword="reason"),
    "LookupFailedError": Argument(0, ATTEMPTS),
    "UnusableCertificateError": Argument(
        0, ATTEMPTS, prefix="the webhook's client certificate cannot be used: "
    ),
    "RefusedTlsError": Argument(0, ATTEMPTS),
    "ResponseError": Argument(0, ATTEMPTS),
    "UnusableFilter": Argument(0, FILTERS, keyword="reason"),
    "UnusableFilterError": Argument(0, FILTERS),
    "MalformedFilterError": Argument(0, FILTERS, prefix="event_filters"),
    "Problem": Argument(1, API, keyword="error"),
    "page_start": Argument(2, API, keyword="absent"),
    "FieldError": Argument(1, API, keyword="detail"),
    "_Finding": Argument(1, API, keyword="detail"),
    "matching": Argument(1, API, keyword="sentence"),
    "invalid_member": Argument(1, API),
    "ValueError": Argument(0, API, within=("daemon/admin/", "daemon/core/policy/")),
    "SchemaError": Argument(0, API),
    "PostponedError": Argument(0, OURS),
    "MailError": Argument(0, MAIL),
}

# Files whose module-level dicts have sentences as values.
DICTS = {
    "daemon/admin/api/validation.py": API,
    "daemon/notifications/email/wording.py": HEALTH,
    "daemon/core/outcomes/batch_consequences.py": HEALTH,
    "daemon/secrets/bound_values.py": ATTEMPTS,
}

# Folders whose module-level constants are sentences when they read like some.
CONSTANTS = {
    "daemon/admin/": API,
    "daemon/egress/": ATTEMPTS,
    "daemon/notifications/": MAIL,
    "daemon/store/": ATTEMPTS,
}
CONSTANT = re.compile(r"[a-z][\w':;,.`/()… -]+")
FEWEST_WORDS = 4  # of a constant
NOT_SENTENCES = {"CONTENT_SECURITY_POLICY", "NO_TRANSACTIONS"}

# Calls through which a sentence passes unchanged.
TRANSPARENT = {"str", "one_line"}

Text = tuple[str, str]  # and its place, `path:line`


@dataclass(frozen=True, slots=True, order=True)
class Sentence:
    """A sentence, where the code has it (`path:line`), and the heading it belongs under."""

    text: str
    place: str = field(compare=False)
    heading: str = field(compare=False)


def in_code() -> dict[str, Sentence]:
    """Return every sentence of `daemon/` by its text."""
    found: dict[str, Sentence] = {}
    for module in _modules():
        for sentence in module.sentences():
            found.setdefault(sentence.text, sentence)
    return found


def stale_rules() -> list[str]:
    """Return the entries of CALLS and DICTS that match nothing in the code any more."""
    called = {name for module in _modules() for name in module.matched()}
    paths = {module.path for module in _modules() if any(module.dict_values())}
    return [f"CALLS: {name}" for name in CALLS if name not in called] + [
        f"DICTS: {path}" for path in DICTS if path not in paths
    ]


def _formatted(template: str) -> str:
    return re.sub(r"\{\w*\}", PLACEHOLDER, template)


class Module:
    """One file of `daemon/`: `path` is relative to the root, `source` is its text."""

    def __init__(self, path: str, source: str) -> None:
        self.path = path
        self.tree = ast.parse(source)
        self._functions = {
            node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)
        }
        self._imports = {
            alias.name: f"{node.module.replace('.', '/')}.py"
            for node in self.tree.body
            if isinstance(node, ast.ImportFrom)
            and str(node.module).startswith("daemon.")
            and node.module is not None
            for alias in node.names
        }
        self._constants: dict[str, ast.expr] = {}
        for node in self.tree.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._constants[name] = value
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    self._constants[name] = value

    def sentences(self) -> Iterator[Sentence]:
        """Yield every sentence; some twice."""
        for text, place, heading in (
            *self._passed(),
            *self._dicts(),
            *self._printed(),
            *self._sentence_constants(),
        ):
            yield Sentence(text, place, heading)

    def matched(self) -> set[str]:
        """Return the entries of CALLS that are called here."""
        return {name for name, _, _ in self._matching_calls()}

    def dict_values(self) -> Iterator[Text]:
        """Yield the values of the module-level dicts, if this is one of DICTS."""
        for each in self._constants.values() if self.path in DICTS else ():
            for value in each.values if isinstance(each, ast.Dict) else ():
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value, self._place(value)

    def returned(self, name: str) -> list[Text]:
        """Return the texts that a function of this module may return."""
        function = self._functions.get(name)
        return [(PLACEHOLDER, "")] if function is None else self._returned(function)

    def _matching_calls(self) -> Iterator[tuple[str, ast.Call, ast.AST]]:
        for call, scope in _calls(self.tree):
            name = _ancestors().get(_called(call), _called(call))
            if name in CALLS and self.path.startswith(CALLS[name].within):
                yield name, call, scope

    def _passed(self) -> Iterator[tuple[str, str, str]]:
        for name, call, scope in self._matching_calls():
            argument = CALLS[name]
            given = [
                *call.args[argument.position : argument.position + 1],
                *(each.value for each in call.keywords if each.arg == argument.keyword),
            ]
            for value in given:
                for text, place in self._resolve(value, scope):
                    if re.search("[a-z]{2}.* ", text):
                        yield argument.prefix + text, place, argument.heading

    def _dicts(self) -> Iterator[tuple[str, str, str]]:
        for text, place in self.dict_values():
            yield _formatted(text), place, DICTS[self.path]

    def _printed(self) -> Iterator[tuple[str, str, str]]:
        functions = (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef))
        printing = (node for node in functions if node.name == "__str__")
        for text, place in (each for node in printing for each in self._returned(node)):
            if len(re.findall(r"[a-z]+ ", text)) >= FEWEST_WORDS:
                yield text, place, API

    def _sentence_constants(self) -> Iterator[tuple[str, str, str]]:
        heading = next((each for path, each in CONSTANTS.items() if self.path.startswith(path)), "")
        for name, value in self._constants.items():
            if not heading or name in NOT_SENTENCES or isinstance(value, ast.Dict):
                continue
            for text, place in self._resolve(value, self.tree):
                if CONSTANT.fullmatch(text) and len(text.split()) >= FEWEST_WORDS:
                    yield text, place, heading

    def _resolve(self, value: ast.expr, scope: ast.AST) -> list[Text]:
        """Return the texts that an expression may have; `…` for what this module does not say."""
        match value:
            case ast.Constant(value=str(text)):
                return [(text, self._place(value))]
            case ast.Constant():
                return []
            case ast.JoinedStr(values=parts):
                pieces = [self._piece(part, scope) for part in parts]
                return [("".join(each), self._place(value)) for each in product(*pieces)]
            case ast.IfExp(body=one, orelse=other) | ast.BoolOp(values=[one, other]):
                return self._resolve(one, scope) + self._resolve(other, scope)
            case ast.Name(id=name):
                return self._named(name, scope)
            case ast.Call():
                return self._resolve_call(value, scope)
            case ast.Subscript(value=ast.Name(id=name)) if name in self._constants:
                return self._resolve(self._constants[name], self.tree)
            case ast.Dict(values=values):
                return [text for each in values for text in self._resolve(each, scope)]
        return [(PLACEHOLDER, "")]

    def _resolve_call(self, call: ast.Call, scope: ast.AST) -> list[Text]:
        match call:
            case ast.Call(func=ast.Name(id=name), args=[inner]) if name in TRANSPARENT:
                return self._resolve(inner, scope)
            case ast.Call(func=ast.Attribute(value=ast.Name() as template, attr="format")):
                return [(_formatted(text), place) for text, place in self._resolve(template, scope)]
            case ast.Call(func=ast.Name(id=name)) if name in self._functions:
                return self._returned(self._functions[name])
            case ast.Call(func=ast.Name(id=name)) if name in self._imports:
                return _module(self._imports[name]).returned(name)
        return [(PLACEHOLDER, "")]

    def _piece(self, part: ast.expr, scope: ast.AST) -> list[str]:
        """Return the texts of a part of an f-string: a local variable's if those are sentences."""
        if isinstance(part, ast.Constant):
            return [str(part.value)]
        assert isinstance(part, ast.FormattedValue)
        if isinstance(part.value, ast.Name) and part.value.id not in self._constants:
            texts = [text for text, _ in self._named(part.value.id, scope)]
            if any(len(text.split()) > 1 for text in texts):
                return texts
        return [PLACEHOLDER]

    def _named(self, name: str, scope: ast.AST) -> list[Text]:
        assigned = [] if scope is self.tree else list(_assigned(name, scope))
        if assigned:
            return [text for value in assigned for text in self._resolve(value, scope)]
        if name in self._constants:
            return self._resolve(self._constants[name], self.tree)
        return [(PLACEHOLDER, "")]

    def _returned(self, function: ast.FunctionDef) -> list[Text]:
        return [
            text
            for node in ast.walk(function)
            if isinstance(node, ast.Return) and node.value is not None
            for text in self._resolve(node.value, function)
        ]

    def _place(self, node: ast.expr) -> str:
        return f"{self.path}:{node.lineno}"


@cache
def _modules() -> tuple[Module, ...]:
    paths = sorted((ROOT / "daemon").rglob("*.py"))
    return tuple(Module(path.relative_to(ROOT).as_posix(), path.read_text()) for path in paths)


@cache
def _module(path: str) -> Module:
    found = (module for module in _modules() if module.path == path)
    return next(found, None) or Module(path, "")


@cache
def _ancestors() -> dict[str, str]:
    """For every subclass of a class in CALLS, however far down, that class."""
    bases = {
        node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
        for module in _modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    }

    def listed(name: str) -> str | None:
        if name in CALLS:
            return name
        return next(filter(None, map(listed, bases.get(name, []))), None)

    return {name: found for name in bases if (found := listed(name)) is not None}


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, ast.AST]]:
    """Yield each call with the function around it, or else the module."""

    def within(node: ast.AST, scope: ast.AST) -> Iterator[tuple[ast.Call, ast.AST]]:
        for child in ast.iter_child_nodes(node):
            inner = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else scope
            if isinstance(child, ast.Call):
                yield child, scope
            yield from within(child, inner)

    return within(tree, tree)


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _assigned(name: str, scope: ast.AST) -> Iterable[ast.expr]:
    for node in ast.walk(scope):
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                yield value
            case ast.NamedExpr(target=ast.Name(id=target), value=value) if target == name:
                yield value
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                yield from (
                    value
                    for each, value in zip(names, values, strict=False)
                    if isinstance(each, ast.Name) and each.id == name
                )
