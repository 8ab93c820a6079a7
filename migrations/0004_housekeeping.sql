-- What housekeeping goes by.

-- A webhook's attempts in one order, down to the last row: a page of them ends at a row, and is read
-- without the rest of its moment, however many attempts bear one and the same time.
DROP INDEX idx_webhook_deliveries_webhook;
CREATE INDEX idx_webhook_deliveries_webhook ON webhook_deliveries (webhook_id, attempted_at, id)
    -- True of every row, but only who names a webhook can use it: a planner that found the table all
    -- but empty would look a row up by its id in here, and go on so when there are a million.
    WHERE webhook_id IS NOT NULL;

-- So it is with a tenant's events.
DROP INDEX webhook_events_of_tenant;
CREATE INDEX webhook_events_of_tenant ON webhook_events (tenant_id, created_at, id)
    WHERE tenant_id IS NOT NULL;

-- Replays that are over, from when they are old enough to go.
CREATE INDEX webhook_replays_over ON webhook_replays (finished_at) WHERE status <> 'running';

INSERT INTO webhookd_migrations (name) VALUES ('0004_housekeeping');
