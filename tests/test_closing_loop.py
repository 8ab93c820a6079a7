"""The event loop of the tests."""

import asyncio
import socket

import pytest

from tests.support.closing_loop import ClosingLoop


async def connect(address: tuple[str, int]) -> object:
    return await asyncio.get_running_loop().create_connection(asyncio.Protocol, *address)


def test_a_transport_that_is_left_open_is_an_error_and_the_loop_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        runner = asyncio.Runner(loop_factory=ClosingLoop)
        kept = runner.run(connect(listening.getsockname()))
        loop = runner.get_loop()

        with pytest.raises(ResourceWarning, match="unclosed resource"):
            runner.close()

    assert kept
    assert loop.is_closed()
