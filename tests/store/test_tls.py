"""What is wrong with the TLS of the database's connection is named for what it is."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon.core.errors import DatabaseUnavailableError
from daemon.store.connection import connected
from tests.support.certificates import Authority

ACCEPT = b"S"
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@asynccontextmanager
async def server(context: ssl.SSLContext) -> AsyncIterator[tuple[int, list[bool]]]:
    """The start of PostgreSQL's protocol: TLS on request, then the end. Lists its handshakes."""
    handshakes: list[bool] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            assert await reader.readexactly(8) == SSL_REQUEST
            writer.write(ACCEPT)
            await writer.start_tls(context)
            handshakes.append(True)
        except OSError:
            handshakes.append(False)
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as listening:
        yield listening.sockets[0].getsockname()[1], handshakes


async def refusal(port: int, parameters: str) -> DatabaseUnavailableError:
    """The error of a connection with these parameters."""
    url = f"postgresql://u:secret@127.0.0.1:{port}/d?{parameters}"
    with pytest.raises(DatabaseUnavailableError) as refused:
        async with connected(url):
            pass
    assert "secret" not in str(refused.value)
    return refused.value


@pytest.mark.parametrize(
    ("host", "age", "sentence"),
    [
        ("db.example", 1, "is for another host than the one in database.url"),
        ("127.0.0.1", -1, "has expired"),
    ],
)
async def test_a_certificate_that_does_not_fit_is_named_and_not_waited_for(
    tmp_path: Path, host: str, age: int, sentence: str
) -> None:
    authority = Authority()
    (tmp_path / "root.pem").write_text(authority.pem)
    context = authority.server(host, until=datetime.now(UTC) + timedelta(hours=age))

    async with server(context) as (port, _):
        error = await refusal(port, f"sslmode=verify-full&sslrootcert={tmp_path}/root.pem")

    assert str(error) == f"the database cannot be used: its TLS certificate {sentence}"
    assert not error.transient


async def test_the_systems_authorities_are_used_where_the_url_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = Authority("Ours"), Authority("Other")
    (tmp_path / "system.pem").write_text(ours.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))

    async with server(ours.server("127.0.0.1")) as (port, trusted):
        cut_off = await refusal(port, "sslrootcert=system")
    async with server(other.server("127.0.0.1")) as (port, untrusted):
        unknown = await refusal(port, "sslmode=verify-full&sslrootcert=system")
    weak = await refusal(port, "sslmode=require&sslrootcert=system")

    assert trusted == [True]
    assert "TLS" not in str(cut_off)
    assert not any(untrusted)
    assert "signed by an authority that is not trusted" in str(unknown)
    assert "sslrootcert=system needs sslmode=verify-full" in str(weak)
