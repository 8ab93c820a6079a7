"""Contexts with client certificates are made beside the event loop."""

import asyncio
import ssl
import threading
from uuid import UUID

import pytest

from daemon.core.model.ids import TenantId
from daemon.egress import tls_context
from daemon.egress.tls_context import TlsContexts
from tests.support.certificates import Authority


async def test_contexts_are_made_in_threads_one_at_a_time_for_a_tenant() -> None:
    authority, names, running = Authority(), set(), []
    most = 0

    def make_context() -> ssl.SSLContext:
        nonlocal most
        names.add(threading.current_thread().name)
        running.append(1)
        most = max(most, len(running))
        threading.Event().wait(0.02)
        running.pop()
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    contexts = TlsContexts(make_context)
    names.clear()
    tenant = TenantId(UUID(int=1))
    clients = [authority.client(f"client-{n}") for n in range(5)]
    made = await asyncio.gather(
        *(contexts.context_for(each, tenant_id=tenant) for each in (*clients, *clients))
    )
    contexts.close()

    assert most == 1
    assert threading.current_thread().name not in names
    assert made[:5] == made[5:]
    assert len(set(made)) == 5


async def test_only_the_contexts_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_context, "CONTEXTS_KEPT", 2)
    authority = Authority()
    contexts = TlsContexts(lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    first, second, third = [authority.client(f"client-{n}") for n in range(3)]
    of_first = await contexts.context_for(first, tenant_id=None)
    of_second = await contexts.context_for(second, tenant_id=None)
    await contexts.context_for(first, tenant_id=None)
    await contexts.context_for(third, tenant_id=None)

    assert await contexts.context_for(first, tenant_id=None) is of_first
    assert await contexts.context_for(second, tenant_id=None) is not of_second
    contexts.close()
