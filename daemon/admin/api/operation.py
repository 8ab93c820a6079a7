"""
The declaration of an API operation: a decorator on the method that handles it.

The API validates, serves and documents an operation from this declaration alone.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel

from daemon.admin.api.audit import RequestAudit
from daemon.admin.api.auth import Caller
from daemon.admin.api.problems import Subject
from daemon.admin.schemas.base import ResponseModel
from daemon.core.model.ids import TenantId

_DECLARATION = "api_operation"  # the attribute of a method that holds its declaration


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """
    A validated request: a handler needs nothing else.

    `body` and `query` are instances of the models that the operation declares. `tenant_id` and
    `id` are the nil UUID when the operation has no tenant or no `{id}` in its path. `audit` is the
    record that a handler writes in the transaction of its change; else it is written afterwards.
    """

    caller: Caller
    tenant_id: TenantId
    id: UUID
    body: Any
    query: Any
    audit: RequestAudit


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A status and the body that goes with it; None is an empty body."""

    status: int
    body: ResponseModel | None = None


Handler = Callable[[ApiRequest], Awaitable[ApiResponse]]
HandlerMethod = TypeVar("HandlerMethod", bound=Callable[[Any, ApiRequest], Awaitable[ApiResponse]])


@dataclass(frozen=True, slots=True)
class Link:
    """An OpenAPI link: a member of the response is the `id` of another operation's path."""

    operation_id: str
    member: str = "id"


@dataclass(frozen=True, slots=True)
class Operation:
    """
    An operation of the API, used as a decorator: `@operation("GET /api/events", …)`.

    `responses` maps each success status to its description and model. `problems` lists the error
    statuses beyond those that every operation can have. `id_of` names the object that the `{id}`
    of the path identifies, or that the operation creates. With `dry_run`, the body has a member of
    this name that makes the operation change nothing; one that `only_reads` never changes anything,
    whatever its method.
    """

    method_and_path: str
    _: KW_ONLY
    operation_id: str
    tag: str
    summary: str
    description: str = ""
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    body_optional: bool = False
    responses: Mapping[int, tuple[str, type[BaseModel] | None]]
    problems: Sequence[int] = ()
    links: Mapping[str, Link] = field(default_factory=dict)
    id_of: Subject = "webhook"
    operator_only: bool = False
    tenant_optional: bool = False  # for operators
    dry_run: bool = False
    only_reads: bool = False

    def __call__(self, handler: HandlerMethod) -> HandlerMethod:
        """Declare that this method of a resource class handles the operation."""
        vars(handler)[_DECLARATION] = self
        return handler

    @property
    def method(self) -> str:
        """The HTTP method, such as `GET`."""
        return self.method_and_path.partition(" ")[0]

    @property
    def path(self) -> str:
        """The pattern of the path, such as `/api/events/{id}`."""
        return self.method_and_path.partition(" ")[2]

    @property
    def may_only_read(self) -> bool:
        """Whether no request of this operation changes anything."""
        return self.only_reads or self.method in {"GET", "HEAD"}

    def changes(self, body: Any) -> bool:
        """Whether a request with this body may change something, or send something."""
        return not self.may_only_read and not (self.dry_run and body.dry_run)

    @property
    def shows_credential(self) -> bool:
        """Whether a response of success shows a secret or a token."""
        return any(
            getattr(model, "holds_credential", False) for _, model in self.responses.values()
        )

    @property
    def has_id(self) -> bool:
        """Whether the path has an `{id}`."""
        return "{id}" in self.path


operation = Operation  # as a decorator


@dataclass(frozen=True, slots=True)
class Route:
    """An operation and the bound method that handles it."""

    operation: Operation
    handler: Handler


def routes_of(resource: object) -> list[Route]:
    """Collect the operations that a resource's methods declare, in the order of definition."""
    return [Route(*each) for each in declarations_of(resource, _DECLARATION)]


def declarations_of(resource: object, attribute: str) -> list[tuple[Any, Any]]:
    """Values of this attribute of an object's methods, each with its method, as defined."""
    return [
        (vars(member)[attribute], getattr(resource, name))
        for name, member in vars(type(resource)).items()
        if callable(member) and attribute in getattr(member, "__dict__", {})
    ]
