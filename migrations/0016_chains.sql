-- Chains of attempts, and what came of replays.
--
-- A chain is an attempt and the retries that follow it. A manual retry or a replay begins a new one,
-- numbered on from the event's last attempt at the webhook.

-- Place in the retry schedule = attempt_number - chain_start + 1; NULL means 1. In two steps: a column
-- with a default cannot be added while another table has a column of this table's row type.
ALTER TABLE webhook_deliveries ADD COLUMN chain_start INTEGER;
ALTER TABLE webhook_deliveries ALTER COLUMN chain_start SET DEFAULT 1;
-- The replays for which the outcome of the chain counts.
ALTER TABLE webhook_deliveries ADD COLUMN chain_replays UUID[];
-- With `replay_id`: the attempt was pending when the replay came to it, and stays when the replay is
-- cancelled.
ALTER TABLE webhook_deliveries ADD COLUMN brought_forward BOOLEAN;

CREATE OR REPLACE FUNCTION webhook_delivery_of_application() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.payload_bytes := NULL;
    NEW.too_large := FALSE;
    NEW.leased_until := NULL;
    NEW.replay_id := NULL;
    NEW.brought_forward := NULL;
    NEW.chain_start := 1;
    NEW.chain_replays := NULL;
    NEW.trace := NULL;
    RETURN NEW;
END $$;

ALTER TABLE webhook_replays ADD COLUMN only_undelivered BOOLEAN NOT NULL DEFAULT FALSE;
-- Only the deliveries that were given up in this other replay.
ALTER TABLE webhook_replays ADD COLUMN of_replay UUID;
-- What was asked for, hashed: of identical requests, one replay runs at a time.
ALTER TABLE webhook_replays ADD COLUMN request_key TEXT;
-- The webhook's types and filters when the events were counted, hashed; NULL once they have changed.
ALTER TABLE webhook_replays ADD COLUMN subscription_key TEXT;
-- Chains that ended; NULL in replays of earlier versions, which did not count them.
ALTER TABLE webhook_replays ADD COLUMN delivered BIGINT;
ALTER TABLE webhook_replays ADD COLUMN failed BIGINT;
-- Events sent with data that may differ from what was sent first.
ALTER TABLE webhook_replays ADD COLUMN changed BIGINT;
-- Why there is nothing to send, or less was sent than was counted: one sentence.
ALTER TABLE webhook_replays ADD COLUMN reason TEXT;

CREATE UNIQUE INDEX webhook_replays_identical ON webhook_replays (webhook_id, request_key)
    WHERE status::text = 'running';

-- Outcomes of chains that count for replays, appended with the results and added up later. Without a
-- foreign key: storing a result must not wait for whatever holds a replay's row.
CREATE TABLE webhook_replay_results (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    replay_id UUID NOT NULL,
    delivered INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    -- Deliveries that were erased before their chain ended.
    erased    INTEGER NOT NULL
);

CREATE INDEX webhook_replay_results_of_replay ON webhook_replay_results (replay_id);

-- When the application changed an event's data after the event had been committed.
ALTER TABLE webhook_events ADD COLUMN data_changed_at TIMESTAMPTZ;

CREATE FUNCTION webhook_event_data_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- What the inserting transaction itself changes was never sent in another form.
    IF OLD.received_at IS NULL OR OLD.received_at < now() THEN
        NEW.data_changed_at := clock_timestamp();
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER webhook_events_data_changed BEFORE UPDATE OF event_data ON webhook_events
    FOR EACH ROW WHEN (OLD.event_data IS DISTINCT FROM NEW.event_data)
    EXECUTE FUNCTION webhook_event_data_changed();

DO $$
DECLARE
    tables CONSTANT name := (SELECT n.nspname
                               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.oid = 'webhook_event_inbox'::regclass::oid);
    found regprocedure;
BEGIN
    FOREACH found IN ARRAY '{webhook_delivery_of_application(),
                             webhook_event_data_changed()}'::regprocedure[]
    LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = %I, pg_temp', found, tables);
    END LOOP;
END $$;

INSERT INTO webhookd_migrations (name) VALUES ('0016_chains');
