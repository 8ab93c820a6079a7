-- What people ask of deliveries: to look at them, to have them again, to be told, to have them gone.

ALTER TABLE webhook_deliveries
    -- The request as it was sent and where its time went; JSON rather than JSONB, for it is read
    -- whole and seldom, and written with every attempt.
    ADD COLUMN trace     JSON,
    -- The replay that made this attempt; those that follow it bear none, so that what is pending
    -- with it is what the replay has under way.
    ADD COLUMN replay_id UUID;

-- An event's deliveries, and the attempts that belong together.
CREATE INDEX webhook_deliveries_of_event ON webhook_deliveries (event_id, webhook_id);

-- What a replay has under way: how much more of it may be begun.
CREATE INDEX webhook_deliveries_of_replay ON webhook_deliveries (replay_id, next_retry_at)
    WHERE replay_id IS NOT NULL AND status = 'pending_retry';

-- A tenant's events in the order in which they are shown, replayed, and forgotten.
CREATE INDEX webhook_events_of_tenant ON webhook_events (tenant_id, created_at, id);

-- A replay: something to be sent again, bit by bit, beside what is new.
CREATE TABLE webhook_replays (
    id          UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id   UUID NOT NULL,
    webhook_id  UUID NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    -- What is gone through: the tenant's stored 'events', or the webhook's 'exhausted' deliveries.
    source      VARCHAR(20) NOT NULL CHECK (source IN ('events', 'exhausted')),
    from_time   TIMESTAMPTZ NOT NULL,
    to_time     TIMESTAMPTZ NOT NULL,
    event_types TEXT[],
    status      VARCHAR(20) NOT NULL DEFAULT 'running'
                CHECK (status IN ('running', 'completed', 'cancelled')),
    total       BIGINT NOT NULL,
    -- How many deliveries it has made so far, and up to where it has gone: both change together.
    made        BIGINT NOT NULL DEFAULT 0,
    cursor_time TIMESTAMPTZ,
    cursor_id   UUID,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    finished_at TIMESTAMPTZ
);

CREATE INDEX webhook_replays_running ON webhook_replays (created_at) WHERE status = 'running';
CREATE INDEX webhook_replays_of_webhook ON webhook_replays (webhook_id, created_at);

-- To whom notices about this webhook go, in place of the administrators.
ALTER TABLE webhooks ADD COLUMN notification_email VARCHAR(320);

-- A notice is mailed once: `due_at` is also the lease of whoever is just sending it.
ALTER TABLE webhook_notices
    ADD COLUMN due_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    ADD COLUMN tries      INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN sent_at    TIMESTAMPTZ,
    ADD COLUMN last_error TEXT;

CREATE INDEX webhook_notices_due ON webhook_notices (due_at) WHERE sent_at IS NULL;
CREATE INDEX webhook_notices_by_time ON webhook_notices (created_at);

INSERT INTO webhookd_migrations (name) VALUES ('0003_management');
