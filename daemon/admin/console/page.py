"""
The declaration of a page, as a decorator on the method that answers it, and its request.

A page is a whole document at a URL of its own: it works without scripts, and its filters live in
its URL.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from aiohttp import web

from daemon.admin import schemas
from daemon.admin.api.audit import OnWrite
from daemon.admin.api.operation import declarations_of
from daemon.admin.api.problems import Problem, not_found
from daemon.admin.api.request import NIL
from daemon.admin.console.api_calls import ApiCalls
from daemon.admin.console.rendering import Renderer
from daemon.admin.console.sessions import Session
from daemon.admin.console.tenant_names import TenantNames
from daemon.core.model.ids import TenantId
from daemon.core.wire.event_ids import parse_event_id

if TYPE_CHECKING:
    from daemon.admin.console.form_tokens import FormTokens

_DECLARATION = "console_page"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """
    A request within a session.

    `root` is the path of the console in URLs, and `tenant_id` the tenant in the path; None on
    pages of operators. `form` has the fields of a POST, each once. `on_write` is called in the
    transaction of each change. `held` is what is held, as far as the viewer sees it.
    """

    http: web.Request
    session: Session
    root: str
    tenant_id: TenantId | None
    form: Mapping[str, str]
    calls: ApiCalls
    renderer: Renderer
    now: datetime
    form_tokens: "FormTokens"
    tenant_names: TenantNames
    on_write: OnWrite | None = None
    held: schemas.Holds | None = None

    @property
    def base(self) -> str:
        """The path of this tenant's pages."""
        return self.root if self.tenant_id is None else f"{self.root}/t/{self.tenant_id}"

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the URL that have a value, each once."""
        return {name: value for name, value in self.http.query.items() if value}

    @property
    def object_id(self) -> UUID:
        """The `{id}` in the path. Raises Problem (404)."""
        return uuid_of(self.http.match_info["id"])

    @property
    def event_id(self) -> UUID:
        """The `{id}` of an event, also as receivers see it. Raises Problem (404)."""
        try:
            return parse_event_id(self.http.match_info["id"])
        except ValueError:
            raise not_found("event") from None

    async def api(
        self,
        operation_id: str,
        object_id: UUID = NIL,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Any:
        """Perform an operation of the API on this tenant; raises Problem as the API does."""
        return await self.calls.call(
            *(operation_id, self.http, self.session.caller(self.tenant_id)),
            object_id=object_id,
            query=query,
            body=body,
            on_write=self.on_write,
        )

    def at(self, tenant_id: TenantId | None) -> "PageRequest":
        """This request, about that tenant."""
        return replace(self, tenant_id=tenant_id)

    async def page(
        self,
        template: str,
        *,
        status: int = 200,
        of_tenants: Iterable[UUID] = (),
        **values: object,
    ) -> web.Response:
        """Render a page; operators see the names of its own tenant and of these."""
        names: dict[TenantId, str] = {}
        if self.session.is_operator and status < 500:
            own = () if self.tenant_id is None else (self.tenant_id,)
            names = await self.tenant_names.of([*own, *map(TenantId, of_tenants)])
        return await self.renderer.page(self, template, status=status, tenant_names=names, **values)

    def redirect(self, path: str) -> web.Response:
        """Send the browser to a page below `base`, with GET."""
        return web.Response(status=303, headers={"Location": f"{self.base}{path}"})


PageHandler = Callable[[PageRequest], Awaitable[web.StreamResponse]]
HandlerMethod = TypeVar(
    "HandlerMethod", bound=Callable[[Any, PageRequest], Awaitable[web.StreamResponse]]
)


@dataclass(frozen=True, slots=True)
class Page:
    """
    A page, used as a decorator: `@page("GET /webhooks/{id}")`.

    Its path is below that of a tenant, or below the console's own: with `operators` for operators
    alone, with `anyone` for everybody who is signed in. A POST that must not be repeated acts
    `once` for each form that a page showed (`form_tokens`), but for the buttons of its form that
    only change the form, if it `edits`. One that only `reads` is open to
    sessions that may change nothing. What is no `document` is a file.
    """

    method_and_path: str
    _: KW_ONLY
    operators: bool = False
    once: bool = False
    edits: bool = False
    reads: bool = False
    anyone: bool = False
    document: bool = True

    def __call__(self, handler: HandlerMethod) -> HandlerMethod:
        """Declare that this method answers the page."""
        vars(handler)[_DECLARATION] = self
        return handler

    @property
    def method(self) -> str:
        """The HTTP method, such as `GET`."""
        return self.method_and_path.partition(" ")[0]

    @property
    def path(self) -> str:
        """The pattern of the path."""
        return self.method_and_path.partition(" ")[2]


page = Page  # as a decorator


def pages_of(resource: object) -> list[tuple[Page, PageHandler]]:
    """Collect the pages that the methods of an object declare, in the order of definition."""
    return declarations_of(resource, _DECLARATION)


def uuid_of(text: str) -> UUID:
    """A UUID in a path. Raises Problem (404) for any other text."""
    try:
        return UUID(text)
    except ValueError:
        raise Problem(404, "there is no such page") from None


def tenant_in_path(request: web.Request, session: Session) -> TenantId | None:
    """
    The tenant in the path; None on pages of operators.

    Raises Problem (404) for another tenant than the session's.
    """
    text = request.match_info.get("tenant")
    if text is None:
        return None
    tenant_id = TenantId(uuid_of(text))
    if session.tenant_id not in (None, tenant_id):
        raise not_found("tenant")
    return tenant_id


def now() -> datetime:
    """The time to which a page's relative times refer."""
    return datetime.now(UTC)
