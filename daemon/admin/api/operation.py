"""
What the API can be asked: each operation says once what it takes and gives, and is served and
documented from that.

A request is judged here before its handler sees it: the caller, the ids, the query, the body.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from daemon.admin.api.auth import Caller
from daemon.core.model.ids import TenantId


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and what goes with it; None is an empty answer."""

    status: int
    body: BaseModel | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request, judged: handlers need look at nothing else."""

    caller: Caller
    tenant: TenantId
    id: UUID
    body: Any
    query: Any


@dataclass(frozen=True, slots=True)
class Link:
    """What may be asked next: that operation with this answer's member as its `id`."""

    operation: str
    member: str = "id"


@dataclass(frozen=True, slots=True)
class Operation:
    """`replies` says of each status what it means and what comes with it."""

    method: str
    path: str
    name: str
    tag: str
    summary: str
    handle: Callable[[Call], Awaitable[Reply]]
    replies: Mapping[int, tuple[str, type[BaseModel] | None]]
    body: type[BaseModel] | None = None
    body_optional: bool = False
    query: type[BaseModel] | None = None
    problems: Sequence[int] = ()
    description: str = ""
    id_name: str = "webhook"
    operator_only: bool = False
    links: Mapping[str, Link] = field(default_factory=dict)

    @property
    def takes_id(self) -> bool:
        return "{id}" in self.path
