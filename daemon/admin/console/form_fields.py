"""The fields of a submitted form, as browsers send them."""

from urllib.parse import parse_qsl

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.api.request_body import read_within_deadline

MOST_FIELDS = 200
FORM = "application/x-www-form-urlencoded"


async def read_form(request: web.Request) -> dict[str, str]:
    """
    The fields of a submitted form; the last one of a name counts.

    Raises Problem: 400 for one that is malformed, 415 for another media type.
    """
    if request.content_type != FORM:
        raise Problem(415, f"a form is sent as {FORM}")
    raw = await read_within_deadline(request)
    try:
        pairs = parse_qsl(
            raw.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError:
        raise Problem(400, "the form is malformed or has too many fields") from None
    return dict(pairs)
