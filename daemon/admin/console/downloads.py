"""
Stored texts as files: a browser saves them, and never shows them as a page.

The rule: every text is sent as text/plain, and as an attachment.
"""

from aiohttp import web

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


def text_file(text: str, *, name: str) -> web.Response:
    """The text as a file of this name, which is of letters, digits, `-`, `_` and `.` only."""
    response = web.Response(
        text=text,
        content_type="text/plain",
        charset="utf-8",
        headers=HEADERS | {"Content-Disposition": f'attachment; filename="{name}"'},
    )
    response.enable_compression()
    return response
