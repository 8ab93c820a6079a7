-- Changes of subscriptions by tenant within a transaction's number: those of a tenant are found past
-- another's million. The table has ids of six hours, and serves daemons of the last version meanwhile.
CREATE INDEX webhook_subscription_changes_by_place
    ON webhook_subscription_changes (xid, tenant_id);
DROP INDEX IF EXISTS webhook_subscription_changes_by_xid;

INSERT INTO webhookd_migrations (name) VALUES ('0035_changes_by_tenant');
