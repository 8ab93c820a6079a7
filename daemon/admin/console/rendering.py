"""
Renders the console's templates, with the headers that confine what a page may do.

The rule: Jinja escapes every value; markup that is ready is made in `visible_text`, `json_text`,
`times` and `charts` alone, from escaped parts.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from daemon.admin.console import charts, csrf, numbers, sizes, times
from daemon.admin.console.assets import Assets
from daemon.admin.console.form_times import as_field
from daemon.admin.console.form_token import new_form_token
from daemon.admin.console.json_text import json_value, shown_json
from daemon.admin.console.long_text import first_part
from daemon.admin.console.schedules import in_words
from daemon.admin.console.url_query import with_query
from daemon.admin.console.visible_text import visible, visible_lines
from daemon.core.unprintable import escape

if TYPE_CHECKING:
    from daemon.admin.console.page import PageRequest

NO_FRAMES = "'none'"


class Renderer:
    """
    Renders pages; `root` is the console's path in URLs.

    Only pages of `allowed_origins` may show the console in a frame.
    """

    def __init__(self, assets: Assets, *, root: str, allowed_origins: Sequence[str] = ()) -> None:
        self._root = root
        self._assets = assets
        self._headers = {
            "Content-Security-Policy": _policy(" ".join(allowed_origins) or NO_FRAMES),
            "Cache-Control": "no-store",
            # With no-referrer, browsers would not name the origin of a form either.
            "Referrer-Policy": "same-origin",
        }
        if allowed_origins:
            # Browsers follow the policy's frame-ancestors; this is for those that do not know it.
            self._headers["X-Frame-Options"] = "SAMEORIGIN"
        self._templates = Environment(
            loader=PackageLoader("daemon.admin", "templates/console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "visible": visible,
            "visible_lines": visible_lines,
            "json": shown_json,
            "first_part": first_part,
            "escaped": escape,
            "field_time": as_field,
            "tojson_text": json_value,
            "ms": times.milliseconds,
            "in_words": in_words,
            "span": times.span,
            "seconds": times.seconds,
            "moment": times.moment,
            "size": sizes.size,
            "percent": numbers.percent,
            "number": numbers.count,
        }
        self._templates.globals |= {
            "assets": assets,
            "root": root,
            "with_query": with_query,
            "once": new_form_token,
            "sparkline": charts.sparkline,
            "timeline": charts.timeline,
            "progress_bar": charts.progress_bar,
            "timing_bar": charts.timing_bar,
        }

    def page(
        self, request: "PageRequest", template: str, *, status: int = 200, **values: object
    ) -> web.Response:
        """Render a page of a session."""
        return self._response(
            template,
            status,
            now=request.now,
            session=request.session,
            base=request.base,
            tenant_id=request.tenant_id,
            query=request.query,
            path=request.http.path,
            csrf=csrf.token_of(request.session.cookie),
            may_change=request.session.may_change,
            **values,
        )

    def entrance(
        self, template: str, *, now: datetime, status: int = 200, **values: object
    ) -> web.Response:
        """Render a page without a session."""
        return self._response(template, status, now=now, **values)

    def _response(
        self, template: str, status: int, *, now: datetime, **values: Any
    ) -> web.Response:
        text = self._templates.get_template(template).render(
            now=now,
            ago=partial(times.relative, now=now),
            due=partial(times.due, now=now),
            clock=partial(times.clock, now=now),
            **values,
        )
        response = web.Response(
            text=text, status=status, content_type="text/html", headers=self._headers
        )
        response.enable_compression()
        return response


def _policy(frame_ancestors: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            f"frame-ancestors {frame_ancestors}",
        )
    )
