-- Who changed what, and was refused what; and the tokens of tenants that are valid.

CREATE TABLE webhook_audit (
    id          UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    at          TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- NULL where no tenant is concerned, or where it is not known who asked.
    tenant_id   UUID,
    actor_kind  VARCHAR(20) NOT NULL
                CHECK (actor_kind::text IN ('operator', 'tenant', 'command_line', 'unknown')),
    -- The name of an operator's token, the id of a tenant's, or a user of the operating system.
    actor       TEXT NOT NULL,
    -- The client's address, or the host name of the machine on which a command ran.
    peer        TEXT,
    -- The operation's id in the OpenAPI document, or the like of a command.
    action      VARCHAR(60) NOT NULL,
    object_type VARCHAR(20),
    object_id   UUID,
    -- The status of the HTTP response; NULL for a command.
    status      SMALLINT,
    -- How many alike requests were refused: those are recorded together.
    count       INTEGER NOT NULL DEFAULT 1
);

CREATE INDEX webhook_audit_by_time ON webhook_audit (at, id);
CREATE INDEX webhook_audit_of_tenant ON webhook_audit (tenant_id, at, id)
    WHERE tenant_id IS NOT NULL;

-- A token is valid while its row exists and has not expired; the token itself is not stored.
CREATE TABLE webhook_tenant_tokens (
    id         UUID PRIMARY KEY,
    tenant_id  UUID NOT NULL,
    scope      VARCHAR(10) NOT NULL CHECK (scope::text IN ('full', 'read')),
    -- The name of the operator's token that created it.
    created_by TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX webhook_tenant_tokens_of_tenant ON webhook_tenant_tokens (tenant_id, expires_at);
CREATE INDEX webhook_tenant_tokens_by_time ON webhook_tenant_tokens (created_at, id);
CREATE INDEX webhook_tenant_tokens_by_expiry ON webhook_tenant_tokens (expires_at);

INSERT INTO webhookd_migrations (name) VALUES ('0009_audit');
