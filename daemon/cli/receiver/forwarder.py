"""Forwarding of deliveries to a local application (`webhookd listen --forward-to`)."""

from typing import Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from daemon.cli.receiver.delivery import Delivery, Reply
from daemon.core.errors import UsageError

MAX_RESPONSE_BYTES = 64 * 1024  # senders of webhooks read less
TIMEOUT = aiohttp.ClientTimeout(total=30)

# Hop-by-hop headers (RFC 9110, section 7.6.1), and those that the client sets itself.
HOP_BY_HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
HOP_BY_HOP |= {"proxy-authenticate", "proxy-authorization", "proxy-connection"}
NOT_FORWARDED = HOP_BY_HOP | {"host", "content-length", "expect"}


class Forwarder:
    """
    Sends each delivery on to one URL and returns the response; use it as a context manager.

    Every failure of the application becomes a 502 with its reason, never an exception.
    """

    def __init__(self, url: str) -> None:
        """Raises UsageError for anything that is not an http or https URL."""
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or True)
        except ValueError:
            usable = False
        if not usable:
            raise UsageError("--forward-to: this is not a URL like http://localhost:3000/webhooks")
        self._url = URL(url)
        # Without credentials and query, which may be secret.
        self._shown_url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=TIMEOUT,
            cookie_jar=aiohttp.DummyCookieJar(),  # no cookies from one delivery to the next
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def forward(self, delivery: Delivery) -> Reply:
        """Send the delivery on, and return the application's response or a 502."""
        headers = {n: v for n, v in delivery.headers.items() if n not in NOT_FORWARDED}
        try:
            async with self._session.post(
                self._url, data=delivery.body, headers=headers, allow_redirects=False
            ) as response:
                content = await _read_beginning(response)
                return Reply(response.status, content, response.headers.get("Content-Type"))
        except TimeoutError:
            return Reply(502, trouble=f"{self._shown_url} gave no answer in time")
        except (aiohttp.ClientError, OSError):
            return Reply(502, trouble=f"{self._shown_url} cannot be reached")
        except ValueError:  # aiohttp receives some headers that it refuses to send
            return Reply(502, trouble="the delivery's headers cannot be passed on")


async def _read_beginning(response: aiohttp.ClientResponse) -> bytes:
    content = b""
    async for chunk in response.content.iter_chunked(MAX_RESPONSE_BYTES):
        content += chunk
        if len(content) >= MAX_RESPONSE_BYTES:
            break
    return content[:MAX_RESPONSE_BYTES]
