-- Deliveries in partitions: what is pending is kept apart from what is over, and that by day.
--
--     webhook_deliveries               by status
--       webhook_deliveries_pending     'pending_retry'
--       webhook_deliveries_history     'success', 'failed'; by attempted_at
--         webhook_deliveries_20251128_20251129, …: made and dropped by the daemons
--         webhook_deliveries_undated   attempts without a time, or of a day without a partition
--       webhook_deliveries_other       any other status
--
-- A table without rows is replaced below. One that is in use is converted by `webhookd migrate`: it
-- becomes a partition that gets no new rows.
--
--     webhook_deliveries               by `legacy`
--       webhook_deliveries_legacy      true: the table as it was
--       webhook_deliveries_current     NULL: by status, as above
--
-- Every leaf has a primary key of its own. There is none of all ids together, because PostgreSQL
-- would demand that it include the columns by which rows are divided.

-- When an event came in, whatever its `created_at` says; NULL in rows of before.
ALTER TABLE webhook_events ADD COLUMN received_at TIMESTAMPTZ;
ALTER TABLE webhook_events ALTER COLUMN received_at SET DEFAULT clock_timestamp();

-- As in the specification. Nothing is done about a row without a status.
ALTER TABLE webhook_deliveries ALTER COLUMN status DROP NOT NULL;

-- Why webhook_deliveries cannot be divided, one sentence each: what depends on the table would
-- depend on one partition, and what is the application's would not apply to the others.
CREATE FUNCTION webhook_partition_obstacles() RETURNS SETOF text LANGUAGE sql STABLE AS $$
    WITH deliveries AS (
        SELECT c.oid, c.relname, c.relnamespace, c.reltype
          FROM pg_class AS c
         WHERE c.oid = to_regclass('webhook_deliveries'::text)::oid
    )
    SELECT pg_catalog.format('the foreign key %s of %s refers to it', k.conname,
                             k.conrelid::regclass)
      FROM deliveries AS d JOIN pg_constraint AS k ON k.confrelid = d.oid
     WHERE k.contype = 'f'::"char"
     UNION ALL
    SELECT pg_catalog.format('it has the foreign key %s', k.conname)
      FROM deliveries AS d JOIN pg_constraint AS k ON k.conrelid = d.oid
     WHERE k.contype = 'f'::"char" AND k.conname <> 'webhook_deliveries_webhook_id_fkey'::name
     UNION ALL
    SELECT pg_catalog.format('it has the trigger %s', t.tgname)
      FROM deliveries AS d JOIN pg_trigger AS t ON t.tgrelid = d.oid
     WHERE NOT t.tgisinternal
       AND t.tgname <> ALL ('{webhook_deliveries_due, webhook_deliveries_of_application,
                              webhook_deliveries_due_now}'::name[])
     UNION ALL
    SELECT pg_catalog.format('it has the index %s', c.relname)
      FROM deliveries AS d
      JOIN pg_index AS i ON i.indrelid = d.oid
      JOIN pg_class AS c ON c.oid = i.indexrelid
     WHERE c.relname <> ALL ('{webhook_deliveries_pkey, idx_webhook_deliveries_webhook,
                               webhook_deliveries_due, webhook_deliveries_of_event,
                               webhook_deliveries_of_replay}'::name[])
     UNION ALL
    SELECT pg_catalog.format('the publication %s replicates it', p.pubname)
      FROM deliveries AS d
      JOIN pg_namespace AS n ON n.oid = d.relnamespace
      JOIN pg_publication_tables AS p ON p.tablename = d.relname AND p.schemaname = n.nspname
     UNION ALL
    SELECT 'another table inherits from it'::text
      FROM deliveries AS d
     WHERE EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = d.oid)
     UNION ALL
    SELECT pg_catalog.format('%s depends on it',
                             pg_catalog.pg_describe_object(found.classid, found.objid, 0))
      FROM (SELECT DISTINCT p.classid, p.objid
              FROM deliveries AS d
              JOIN pg_depend AS p
                ON p.refclassid = 'pg_class'::regclass::oid AND p.refobjid = d.oid
                   AND p.classid = ANY ('{pg_rewrite, pg_proc, pg_policy, pg_statistic_ext}'
                                        ::regclass[]::oid[])
                OR p.refclassid = 'pg_type'::regclass::oid AND p.refobjid = d.reltype
                   AND p.classid = ANY ('{pg_class, pg_proc}'::regclass[]::oid[])) AS found
$$;

-- The partitions of whole days, by their names.
CREATE FUNCTION webhook_history_partitions() RETURNS TABLE (partition name, begins date, ends date)
    LANGUAGE sql STABLE AS $$
    SELECT c.relname, pg_catalog.to_date(pg_catalog.split_part(c.relname::text, '_', 3), 'YYYYMMDD'),
           pg_catalog.to_date(pg_catalog.split_part(c.relname::text, '_', 4), 'YYYYMMDD')
      FROM pg_inherits AS i
      JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = to_regclass('webhook_deliveries_history'::text)::oid
       AND c.relname::text ~ '^webhook_deliveries_[0-9]{8}_[0-9]{8}$'
$$;

-- Make the next partition, of so many days, unless the next two days have theirs. Returns its name.
--
-- SECURITY DEFINER, because only the owner of a table can add partitions to it. The daemon's role may
-- call this. The caller limits lock_timeout: the lock on webhooks keeps others from writing there
-- until the transaction ends, a few milliseconds later.
CREATE FUNCTION webhook_add_history_partition(days integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    most_moved CONSTANT bigint := 10000;
    today CONSTANT date := (now() AT TIME ZONE 'UTC')::date;
    -- A partition of centuries could never be dropped.
    length CONSTANT integer := least(greatest(days, 1), 400);
    begins date;
    since timestamptz;
    until timestamptz;
    made text;
BEGIN
    IF to_regclass('webhook_deliveries_history'::text) IS NULL
       OR EXISTS (SELECT FROM webhook_history_partitions() AS p WHERE p.ends > today + 2) THEN
        RETURN NULL;
    END IF;
    LOCK TABLE webhook_deliveries_history IN SHARE UPDATE EXCLUSIVE MODE;
    begins := greatest(today, (SELECT pg_catalog.max(p.ends) FROM webhook_history_partitions() AS p));
    WHILE begins <= today + 2 LOOP
        since := begins::timestamp AT TIME ZONE 'UTC';
        until := (begins + length)::timestamp AT TIME ZONE 'UTC';
        -- What has come for these days already moves along, unless it would take long.
        IF (SELECT pg_catalog.count(*)
              FROM (SELECT FROM webhook_deliveries_undated
                     WHERE attempted_at >= since AND attempted_at < until
                     LIMIT most_moved + 1::bigint) AS early) <= most_moved THEN
            made := pg_catalog.format('webhook_deliveries_%s_%s',
                                      pg_catalog.to_char(begins::timestamp, 'YYYYMMDD'),
                                      pg_catalog.to_char((begins + length)::timestamp, 'YYYYMMDD'));
            LOCK TABLE webhook_deliveries_undated IN ACCESS EXCLUSIVE MODE;
            LOCK TABLE webhooks IN SHARE ROW EXCLUSIVE MODE;
            EXECUTE pg_catalog.format(
                'CREATE TABLE %I (LIKE webhook_deliveries_history INCLUDING DEFAULTS'
                ' INCLUDING CONSTRAINTS INCLUDING STORAGE, PRIMARY KEY (id))', made);
            EXECUTE pg_catalog.format(
                'WITH early AS (DELETE FROM webhook_deliveries_undated'
                ' WHERE attempted_at >= $1 AND attempted_at < $2 RETURNING *)'
                ' INSERT INTO %I SELECT * FROM early', made) USING since, until;
            EXECUTE pg_catalog.format(
                'ALTER TABLE webhook_deliveries_history ATTACH PARTITION %I'
                ' FOR VALUES FROM (%L) TO (%L)', made, since, until);
            RETURN made;
        END IF;
        begins := begins + 1;
    END LOOP;
    RETURN NULL;
END $$;

-- Drop the oldest partition of which every attempt is older than that. Returns its name.
--
-- Not detached first: a detached table has a foreign key of its own, and dropping that locks out
-- everyone from webhooks. This locks the history only; the files are deleted after the commit.
CREATE FUNCTION webhook_drop_history_partition(older_than interval) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    oldest text;
BEGIN
    SELECT p.partition::text INTO oldest
      FROM webhook_history_partitions() AS p
     WHERE p.ends::timestamp AT TIME ZONE 'UTC' <= least(now(), now() - older_than)
     ORDER BY p.ends
     LIMIT 1;
    IF oldest IS NOT NULL THEN
        EXECUTE pg_catalog.format('DROP TABLE IF EXISTS %I', oldest);
    END IF;
    RETURN oldest;
END $$;

-- Make webhook_deliveries_current, with all that is below it, like webhook_deliveries.
CREATE FUNCTION webhook_create_partitions() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TABLE webhook_deliveries_current
        (LIKE webhook_deliveries INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)
        PARTITION BY LIST (status);

    CREATE TABLE webhook_deliveries_pending
        PARTITION OF webhook_deliveries_current FOR VALUES IN ('pending_retry')
        WITH (fillfactor = 85,
              autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
    ALTER TABLE webhook_deliveries_pending ADD PRIMARY KEY (id);
    CREATE INDEX webhook_deliveries_pending_due ON webhook_deliveries_pending (webhook_id, next_retry_at)
        WHERE status::text = 'pending_retry';
    CREATE INDEX webhook_deliveries_pending_of_replay
        ON webhook_deliveries_pending (replay_id, next_retry_at)
        WHERE replay_id IS NOT NULL AND status::text = 'pending_retry';

    CREATE TABLE webhook_deliveries_history
        PARTITION OF webhook_deliveries_current FOR VALUES IN ('success', 'failed')
        PARTITION BY RANGE (attempted_at);
    CREATE TABLE webhook_deliveries_undated PARTITION OF webhook_deliveries_history DEFAULT;
    ALTER TABLE webhook_deliveries_undated ADD PRIMARY KEY (id);

    CREATE TABLE webhook_deliveries_other PARTITION OF webhook_deliveries_current DEFAULT;
    ALTER TABLE webhook_deliveries_other ADD PRIMARY KEY (id);

    -- Every partition has these, those to come too.
    CREATE INDEX ON webhook_deliveries_current (webhook_id, attempted_at, id)
        WHERE webhook_id IS NOT NULL;
    CREATE INDEX ON webhook_deliveries_current (event_id, webhook_id);
END $$;

-- Put the partitions in the place of webhook_deliveries, with its triggers, privileges and owner.
--
-- Its rows stay where they are: with any, it becomes the partition of the rows that are `legacy`,
-- for which a valid constraint must say that all of them are. Called again when that partition is
-- empty, this drops it.
CREATE FUNCTION webhook_partition_deliveries() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    former CONSTANT oid := to_regclass('webhook_deliveries'::text)::oid;
    is_empty boolean;
    command text;
    commands text[];
BEGIN
    -- In this order, as daemons do. The triggers of foreign keys are dropped and created there.
    LOCK TABLE webhooks IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE webhook_deliveries IN ACCESS EXCLUSIVE MODE;
    IF to_regclass('webhook_deliveries_current'::text) IS NULL THEN
        is_empty := NOT EXISTS (SELECT FROM webhook_deliveries);
        PERFORM webhook_create_partitions();
    ELSE
        is_empty := NOT EXISTS (SELECT FROM webhook_deliveries_legacy);
        IF NOT is_empty THEN
            RETURN;
        END IF;
        ALTER TABLE webhook_deliveries DETACH PARTITION webhook_deliveries_current;
    END IF;
    -- Read before the table is renamed or dropped.
    commands := ARRAY(
        SELECT pg_catalog.format('GRANT %s%s ON webhook_deliveries TO %s%s', acl.privilege_type,
                                 acl.of_column,
                                 CASE acl.grantee WHEN 0::oid THEN 'PUBLIC'
                                      ELSE acl.grantee::regrole::text END,
                                 CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' END)
          FROM (SELECT a.grantee, a.privilege_type, a.is_grantable, NULL::text AS of_column
                  FROM pg_class AS c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS a
                 WHERE c.oid = former
                 UNION ALL
                SELECT a.grantee, a.privilege_type, a.is_grantable,
                       pg_catalog.format(' (%I)', t.attname)
                  FROM pg_attribute AS t CROSS JOIN LATERAL pg_catalog.aclexplode(t.attacl) AS a
                 WHERE t.attrelid = former) AS acl
         UNION ALL
        SELECT pg_catalog.format('ALTER TABLE %s OWNER TO %s', made.name, c.relowner::regrole)
          FROM pg_class AS c
         CROSS JOIN LATERAL (
               SELECT pg_catalog.unnest(
                          '{webhook_deliveries, webhook_deliveries_pending, webhook_deliveries_other,
                            webhook_deliveries_history, webhook_deliveries_undated}'::text[]) AS name
                UNION ALL
               SELECT 'webhook_deliveries_current'::text WHERE NOT is_empty) AS made
         WHERE c.oid = former AND c.relowner <> current_user::regrole::oid);

    IF is_empty THEN
        DROP TABLE webhook_deliveries;
        ALTER TABLE webhook_deliveries_current RENAME TO webhook_deliveries;
        ALTER TABLE webhook_deliveries DROP COLUMN IF EXISTS legacy;
    ELSE
        DROP TRIGGER webhook_deliveries_due ON webhook_deliveries;
        DROP TRIGGER webhook_deliveries_of_application ON webhook_deliveries;
        DROP TRIGGER webhook_deliveries_due_now ON webhook_deliveries;
        ALTER TABLE webhook_deliveries RENAME TO webhook_deliveries_legacy;
        ALTER TABLE webhook_deliveries_current DROP CONSTRAINT webhook_deliveries_are_legacy;
        ALTER TABLE webhook_deliveries_current ALTER COLUMN legacy DROP DEFAULT;
        CREATE TABLE webhook_deliveries
            (LIKE webhook_deliveries_current INCLUDING DEFAULTS INCLUDING CONSTRAINTS
             INCLUDING STORAGE)
            PARTITION BY LIST (legacy);
        ALTER TABLE webhook_deliveries
            ATTACH PARTITION webhook_deliveries_current FOR VALUES IN (NULL);
        ALTER TABLE webhook_deliveries
            ATTACH PARTITION webhook_deliveries_legacy FOR VALUES IN (true);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_constraint AS k
                    WHERE k.conrelid = to_regclass('webhook_deliveries'::text)::oid
                      AND k.contype = 'f'::"char") THEN
        ALTER TABLE webhook_deliveries
            ADD CONSTRAINT webhook_deliveries_webhook_id_fkey
            FOREIGN KEY (webhook_id) REFERENCES webhooks (id) ON DELETE CASCADE;
    END IF;

    -- As in 0001 and 0006.
    CREATE TRIGGER webhook_deliveries_due AFTER INSERT ON webhook_deliveries
        FOR EACH ROW WHEN (NEW.status::text = 'pending_retry' AND NEW.event_created_at IS NULL)
        EXECUTE FUNCTION webhook_due();
    CREATE TRIGGER webhook_deliveries_of_application BEFORE INSERT ON webhook_deliveries
        FOR EACH ROW WHEN (NOT pg_catalog.has_table_privilege('webhook_event_inbox'::regclass::oid,
                                                              'UPDATE'::text))
        EXECUTE FUNCTION webhook_delivery_of_application();
    CREATE TRIGGER webhook_deliveries_due_now BEFORE INSERT OR UPDATE OF status, next_retry_at
        ON webhook_deliveries
        FOR EACH ROW WHEN (NEW.status::text = 'pending_retry' AND NEW.next_retry_at IS NULL)
        EXECUTE FUNCTION webhook_delivery_due_now();
    FOREACH command IN ARRAY commands LOOP
        EXECUTE command;
    END LOOP;
END $$;

DO $$
DECLARE
    tables CONSTANT name := (SELECT n.nspname
                               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.oid = 'webhook_event_inbox'::regclass::oid);
    found regprocedure;
    grantee name;
BEGIN
    FOR found IN
        SELECT p.oid
          FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
         WHERE n.nspname = tables
           AND p.proname IN ('webhook_partition_obstacles', 'webhook_history_partitions',
                             'webhook_add_history_partition', 'webhook_drop_history_partition',
                             'webhook_create_partitions', 'webhook_partition_deliveries')
    LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = %I, pg_temp', found, tables);
    END LOOP;

    -- The daemon's role alone may make and drop partitions. Default privileges may name others.
    FOREACH found IN ARRAY '{webhook_add_history_partition(integer),
                             webhook_drop_history_partition(interval)}'::regprocedure[]
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC CASCADE', found);
        FOR grantee IN
            SELECT r.rolname
              FROM pg_catalog.pg_proc AS p
             CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) AS acl
              JOIN pg_catalog.pg_roles AS r ON r.oid = acl.grantee
             WHERE p.oid = found::oid AND acl.grantee <> p.proowner
        LOOP
            EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM %I CASCADE', found, grantee);
        END LOOP;
        FOR grantee IN
            SELECT r.rolname
              FROM pg_class AS c
             CROSS JOIN LATERAL pg_catalog.aclexplode(
                        COALESCE(c.relacl, pg_catalog.acldefault('r'::"char", c.relowner))) AS acl
              JOIN pg_catalog.pg_roles AS r ON r.oid = acl.grantee
             WHERE c.oid = 'webhook_deliveries'::regclass::oid AND acl.privilege_type = 'DELETE'
               AND pg_catalog.has_table_privilege(r.oid, 'webhook_event_inbox'::regclass::oid,
                                                  'UPDATE'::text)
        LOOP
            EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %I', found, grantee);
        END LOOP;
    END LOOP;

    IF NOT EXISTS (SELECT FROM webhook_deliveries)
       AND NOT EXISTS (SELECT FROM webhook_partition_obstacles()) THEN
        PERFORM webhook_partition_deliveries();
        WHILE webhook_add_history_partition(1) IS NOT NULL LOOP
        END LOOP;
    END IF;
END $$;

INSERT INTO webhookd_migrations (name) VALUES ('0015_partitions');
