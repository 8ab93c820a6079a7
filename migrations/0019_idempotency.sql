-- What POST requests with an Idempotency-Key were answered, for 24 hours.
--
-- The daemon's role needs SELECT, INSERT, UPDATE and DELETE; the application's needs no right, and
-- must not get one: a row decides whether a request acts, and with which answer it is repeated.

CREATE TABLE webhook_idempotency_keys (
    -- `tenant:` and its id, or `operator:` and the name of its token.
    caller        TEXT NOT NULL,
    -- SHA-256 of the key: keys are the clients' own, and may name anything.
    key_hash      BYTEA NOT NULL,
    -- NULL where the request names no tenant, until it is known which one it concerns.
    tenant_id     UUID,
    -- The request that acts: whoever finds another one here must not.
    claim_id      UUID NOT NULL,
    claimed_until TIMESTAMPTZ NOT NULL,
    -- What was asked for, sealed: a repeat with the same key must ask for the same.
    fingerprint   TEXT NOT NULL,
    -- Written in the transaction of the change: from then on no repeat may make it again.
    performed     BOOLEAN NOT NULL DEFAULT false,
    object_id     UUID,
    -- NULL until the request was answered.
    status        SMALLINT,
    -- NULL where the answer is not kept. Sealed, if there is a master key.
    answer        TEXT,
    answer_bytes  INTEGER NOT NULL DEFAULT 0,
    created_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, key_hash)
);

CREATE INDEX webhook_idempotency_keys_of_tenant
    ON webhook_idempotency_keys (tenant_id, caller, created_at) WHERE tenant_id IS NOT NULL;
CREATE INDEX webhook_idempotency_keys_by_time ON webhook_idempotency_keys (created_at);

INSERT INTO webhookd_migrations (name) VALUES ('0019_idempotency');
