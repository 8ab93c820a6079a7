-- The tables of the specification, and what the daemon needs beside them.
--
-- The application's own inserts name only the specification's columns; everything else has a
-- default that means "nothing special".

-- The application has this one already; it is made only where it is missing.
CREATE TABLE IF NOT EXISTS tenants (
    id         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name       VARCHAR(255),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE webhooks (
    id                         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id                  UUID NOT NULL REFERENCES tenants (id),

    name                       VARCHAR(255) NOT NULL,
    description                TEXT,
    endpoint_url               TEXT NOT NULL,
    secret_key                 VARCHAR(255) NOT NULL,
    -- While a rotation overlaps, requests are signed with both secrets.
    previous_secret_key        VARCHAR(255),
    previous_secret_expires_at TIMESTAMPTZ,

    event_types                TEXT[],
    event_filters              JSONB,
    -- Why event_filters matches nothing, when it is not of the documented shape.
    filter_error               TEXT,

    is_active                  BOOLEAN NOT NULL DEFAULT TRUE,
    is_failing                 BOOLEAN NOT NULL DEFAULT FALSE,
    consecutive_failures       INTEGER NOT NULL DEFAULT 0,
    -- Why the daemon paused it; NULL when a person did, or when it is active.
    paused_reason              TEXT,
    last_success_at            TIMESTAMPTZ,
    last_failure_at            TIMESTAMPTZ,

    created_at                 TIMESTAMPTZ DEFAULT now(),
    updated_at                 TIMESTAMPTZ DEFAULT now()
) WITH (fillfactor = 70);  -- health changes often: room on the page keeps those updates in it

CREATE INDEX webhooks_of_tenant ON webhooks (tenant_id);

CREATE TABLE webhook_events (
    id         UUID PRIMARY KEY,
    tenant_id  UUID NOT NULL,
    event_type VARCHAR(100),
    event_data JSONB,
    created_at TIMESTAMPTZ DEFAULT now()
);

CREATE INDEX idx_webhook_events_tenant_type ON webhook_events (tenant_id, event_type, created_at);

CREATE TABLE webhook_deliveries (
    id               UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    webhook_id       UUID NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event_id         UUID NOT NULL,

    event_type       VARCHAR(100),
    payload          JSONB,
    -- The event's own time, kept here so that every attempt has the same body. NULL in rows that
    -- the application inserts: the daemon looks it up.
    event_created_at TIMESTAMPTZ,
    signature        VARCHAR(255),

    status_code      INTEGER,
    response_body    TEXT,
    response_headers JSONB,

    duration_ms      INTEGER,
    attempted_at     TIMESTAMPTZ DEFAULT now(),

    attempt_number   INTEGER NOT NULL DEFAULT 1,
    next_retry_at    TIMESTAMPTZ DEFAULT now(),
    -- Until when a daemon holds this attempt. Also the fence: a result is stored only by whoever
    -- still holds the very lease it was claimed with.
    leased_until     TIMESTAMPTZ,

    status           VARCHAR(50) NOT NULL DEFAULT 'pending_retry',
    error_message    TEXT
) WITH (fillfactor = 85,  -- a lease changes no indexed column: with room on the page it costs no index write
        autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX idx_webhook_deliveries_webhook ON webhook_deliveries (webhook_id, attempted_at);

-- The lanes: what is to be done for one endpoint, in the order in which it comes due.
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_retry_at)
    WHERE status = 'pending_retry';

-- Committed events that no daemon has fanned out yet. The number of the inserting transaction
-- tells what became visible since the last look: neither time nor sequence is commit order.
CREATE TABLE webhook_event_inbox (
    xid        XID8 NOT NULL DEFAULT pg_current_xact_id(),
    event_id   UUID NOT NULL,
    -- The one webhook that is still to be served, because it was locked; zeros mean every webhook.
    webhook_id UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    PRIMARY KEY (xid, event_id, webhook_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);

-- What the administrator is to be told, written with the transition that it tells of.
CREATE TABLE webhook_notices (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id  UUID NOT NULL,
    webhook_id UUID NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    kind       VARCHAR(50) NOT NULL,
    data       JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX webhook_notices_of_webhook ON webhook_notices (webhook_id, created_at);

-- SECURITY DEFINER, so that the application's role needs no right on the inbox.
CREATE FUNCTION webhook_events_arrived() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO webhook_event_inbox (event_id) SELECT id FROM arrived;
    PERFORM pg_notify('webhookd_events', '');
    RETURN NULL;
END $$;

CREATE TRIGGER webhook_events_arrived AFTER INSERT ON webhook_events
    REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT EXECUTE FUNCTION webhook_events_arrived();

CREATE FUNCTION webhook_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'webhooks' THEN
        PERFORM pg_notify('webhookd_due', NEW.id::text);
    ELSE
        PERFORM pg_notify('webhookd_due', NEW.webhook_id::text);
    END IF;
    RETURN NULL;
END $$;

-- Only for rows that the application inserts itself: the daemon's own carry the event's time.
CREATE TRIGGER webhook_deliveries_due AFTER INSERT ON webhook_deliveries
    FOR EACH ROW WHEN (NEW.status = 'pending_retry' AND NEW.event_created_at IS NULL)
    EXECUTE FUNCTION webhook_due();

CREATE TRIGGER webhooks_resumed AFTER UPDATE OF is_active ON webhooks
    FOR EACH ROW WHEN (NEW.is_active AND NOT OLD.is_active)
    EXECUTE FUNCTION webhook_due();

-- Whoever resumes an endpoint gives it a fresh start; else its next failure would pause it again.
CREATE FUNCTION webhooks_fresh_start() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.consecutive_failures := 0;
    NEW.is_failing := FALSE;
    NEW.paused_reason := NULL;
    RETURN NEW;
END $$;

CREATE TRIGGER webhooks_fresh_start BEFORE UPDATE OF is_active ON webhooks
    FOR EACH ROW WHEN (NEW.is_active AND NOT OLD.is_active)
    EXECUTE FUNCTION webhooks_fresh_start();

-- Which migrations were applied, by `webhookd migrate` or by hand with psql -f.
CREATE TABLE IF NOT EXISTS webhookd_migrations (
    name       TEXT PRIMARY KEY,
    sha256     TEXT,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

INSERT INTO webhookd_migrations (name) VALUES ('0001_webhooks');
