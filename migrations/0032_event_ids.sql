-- ORMs insert rows without their ids and read these back: INSERT … RETURNING id.
ALTER TABLE webhook_events ALTER COLUMN id SET DEFAULT pg_catalog.gen_random_uuid();

INSERT INTO webhookd_migrations (name) VALUES ('0032_event_ids');
