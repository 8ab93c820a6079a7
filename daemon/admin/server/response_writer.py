"""
Writes a response in pieces: the next one when the client's system has taken the one before.

aiohttp hands a whole body to the transport at once, joined with the head, and thereby copied.
"""

from aiohttp.http_writer import StreamWriter

PIECE_BYTES = 64 * 1024


class ResponseWriter(StreamWriter):
    """The writer of a response, which keeps no copy of its body."""

    async def write_eof(self, chunk: bytes = b"") -> None:
        """Write a body, or the end of one, and wait until all of it is taken."""
        rest = memoryview(chunk)
        while len(rest) > PIECE_BYTES:
            await self.write(rest[:PIECE_BYTES], LIMIT=0)
            rest = rest[PIECE_BYTES:]
        await super().write_eof(bytes(rest))
