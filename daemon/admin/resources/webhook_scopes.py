"""
Permissions to set a scope of a webhook, and to see webhooks of that scope.

The rule: webhooks of the scope `operator` are made, changed and seen by operators only.
"""

from dataclasses import replace
from typing import overload

from daemon.admin.api.auth import Caller
from daemon.admin.api.problems import Problem
from daemon.core.model.operational_events import WebhookScope
from daemon.core.model.webhooks import WebhookEntry
from daemon.store import webhook_scopes
from daemon.store.session import Connection


@overload
def allowed_scope(scope: str, caller: Caller) -> WebhookScope: ...
@overload
def allowed_scope(scope: str | None, caller: Caller) -> WebhookScope | None: ...
def allowed_scope(scope: str | None, caller: Caller) -> WebhookScope | None:
    """Return the scope that a request sets; None if it sets none. Raises Problem (403)."""
    if scope is None:
        return None
    wanted = WebhookScope(scope)
    if wanted is WebhookScope.OPERATOR and not caller.is_operator:
        raise Problem(403, "scope: only an operator token may make a webhook for operators")
    return wanted


def is_hidden(webhook: WebhookEntry, caller: Caller) -> bool:
    """Whether the caller must not learn that there is such a webhook."""
    return webhook.scope == WebhookScope.OPERATOR and not caller.is_operator


async def store_scope(
    db: Connection, webhook: WebhookEntry, scope: WebhookScope, *, by: Caller
) -> WebhookEntry:
    """Store an allowed scope for a webhook that is locked or new; return it with that scope."""
    await webhook_scopes.set_scope(db, webhook.id, scope, made_by=by.actor.name)
    return replace(webhook, scope=scope)
