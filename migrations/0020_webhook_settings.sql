-- How the deliveries of one webhook are made: its timeout, its limits and its retries.

-- NULL is the default of the daemon's configuration. Whatever the application writes, the daemon
-- uses the nearest value within its bounds.
ALTER TABLE webhooks ADD COLUMN timeout_ms INTEGER;
ALTER TABLE webhooks ADD COLUMN max_per_second DOUBLE PRECISION;
ALTER TABLE webhooks ADD COLUMN max_in_flight INTEGER;
-- The name of one in `delivery.retry_schedules`.
ALTER TABLE webhooks ADD COLUMN retry_schedule TEXT;
ALTER TABLE webhooks ADD COLUMN client_errors_final BOOLEAN;

-- What all daemons together have claimed lately for webhooks with a limit; others have no row.
--
-- A table of its own: each claim changes the row, and results need not wait for its lock.
CREATE TABLE webhook_pacing (
    webhook_id UUID PRIMARY KEY REFERENCES webhooks (id) ON DELETE CASCADE,
    -- How many claims have changed this row.
    claims     BIGINT NOT NULL DEFAULT 0,
    -- The limit for which `next_at` was computed.
    per_second DOUBLE PRECISION,
    -- Before this time no further attempt may begin.
    next_at    TIMESTAMPTZ,
    -- The attempts that may be in flight: those of which the rows still have a lease are.
    in_flight  UUID[]
) WITH (fillfactor = 50);

INSERT INTO webhookd_migrations (name) VALUES ('0020_webhook_settings');
