-- A tenant's active webhooks, and those paused since a time, are found past all its others.
--
-- One index in place of that by tenant alone: a planner without statistics could choose the other.

CREATE INDEX webhooks_of_tenant_by_state ON webhooks (tenant_id, is_active, paused_at);
DROP INDEX IF EXISTS webhooks_of_tenant;

INSERT INTO webhookd_migrations (name) VALUES ('0014_paused_webhooks');
