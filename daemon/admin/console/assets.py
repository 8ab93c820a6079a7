"""
The console's style sheet and scripts, under names that contain their hashes.

A browser may keep them for ever: a changed file has another name. Each is named in pages with the
hash of its contents (Subresource Integrity).
"""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha384
from importlib.resources import files

from aiohttp import web

PACKAGE = "daemon.admin"
FOLDER = "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its path in URLs below the console, and the hash of its contents."""

    path: str
    integrity: str
    content: bytes
    content_type: str


class Assets:
    """The files of the package's folder, read once."""

    def __init__(self) -> None:
        self._by_name = {
            each.name: _asset(each.name, each.read_bytes())
            for each in (files(PACKAGE) / FOLDER).iterdir()
            if each.name[each.name.rfind(".") :] in TYPES
        }

    def __getitem__(self, name: str) -> Asset:
        """The asset of the file of this name. Raises KeyError."""
        return self._by_name[name]

    def add_routes(self, app: web.Application, *, prefix: str) -> None:
        """Serve each file at its path."""
        for asset in self._by_name.values():
            app.router.add_get(f"{prefix}/{asset.path}", _handler(asset))


def _asset(name: str, content: bytes) -> Asset:
    digest = sha384(content)
    stem, _, suffix = name.rpartition(".")
    return Asset(
        path=f"static/{stem}.{digest.hexdigest()[:12]}.{suffix}",
        integrity=f"sha384-{b64encode(digest.digest()).decode()}",
        content=content,
        content_type=TYPES[f".{suffix}"],
    )


def _handler(asset: Asset) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(_: web.Request) -> web.Response:
        response = web.Response(
            body=asset.content,
            content_type=asset.content_type,
            charset="utf-8",
            headers={"Cache-Control": FOR_EVER},
        )
        response.enable_compression()
        return response

    return serve
