-- What housekeeping goes by.

-- A webhook's attempts in one order, down to the last row: a page of them ends at a row, and is read
-- without the rest of its moment, however many attempts bear one and the same time.
DROP INDEX idx_webhook_deliveries_webhook;
CREATE INDEX idx_webhook_deliveries_webhook ON webhook_deliveries (webhook_id, attempted_at, id);

-- Replays that are over, from when they are old enough to go.
CREATE INDEX webhook_replays_over ON webhook_replays (finished_at) WHERE status <> 'running';

INSERT INTO webhookd_migrations (name) VALUES ('0004_housekeeping');
