-- How each webhook's attempts went, counted by the minute and by the hour.

-- The transaction that stores results adds one row for each minute in which their attempts began,
-- usually one: it locks nothing, and waits for nobody. Each position of the arrays is so many attempts
-- of one webhook with one kind of outcome and one bucket of duration (100 * kind + bucket, both as
-- numbered in core/outcomes/). One daemon counts the rows of some seconds into webhook_stats, and
-- deletes them.
CREATE TABLE webhook_stats_batches (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    minute      TIMESTAMPTZ NOT NULL,
    webhook_ids UUID[] NOT NULL,
    ended       INTEGER[] NOT NULL,
    counts      INTEGER[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

-- Compressing ids takes longer than storing them.
ALTER TABLE webhook_stats_batches ALTER COLUMN webhook_ids SET STORAGE EXTERNAL;

CREATE TABLE webhook_stats (
    webhook_id UUID NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    -- What the row counts: 1 minute, or the 60 of an hour.
    minutes    SMALLINT NOT NULL,
    begins_at  TIMESTAMPTZ NOT NULL,
    -- `counts` has how many attempts each of `cells` has: 0 to 99 are kinds of outcomes, the others 100
    -- and a bucket of duration. Each attempt is in one of both.
    cells      INTEGER[] NOT NULL,
    counts     INTEGER[] NOT NULL,
    PRIMARY KEY (webhook_id, minutes, begins_at)
) WITH (fillfactor = 70);  -- the rows of this minute and this hour are updated several times

CREATE INDEX webhook_stats_by_age ON webhook_stats (minutes, begins_at);

-- One row. Who locks it counts; the others leave it to that one. No batch is left up to `counted_up_to`,
-- so that nobody has to read the index entries of deleted ones. Every batch up to `noted_id` was begun
-- by `noted_at`: some time later all of them are committed or never will be.
CREATE TABLE webhook_stats_progress (
    counted_up_to BIGINT NOT NULL,
    noted_id      BIGINT NOT NULL,
    noted_at      TIMESTAMPTZ NOT NULL
);

INSERT INTO webhook_stats_progress (counted_up_to, noted_id, noted_at) VALUES (0, 0, now());

-- The roles of daemons, which may lease events, need these to store results from now on.
DO $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT acl.grantee::regrole::text
          FROM pg_class AS c
         CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS acl
         WHERE c.oid = 'webhook_event_inbox'::regclass::oid AND acl.privilege_type = 'UPDATE'
               AND acl.grantee <> 0::oid AND acl.grantee <> c.relowner
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, DELETE ON webhook_stats_batches TO %s', grantee);
        EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_stats TO %s', grantee);
        EXECUTE pg_catalog.format('GRANT SELECT, UPDATE ON webhook_stats_progress TO %s', grantee);
    END LOOP;
END $$;

INSERT INTO webhookd_migrations (name) VALUES ('0018_stats');
