-- Locks of maintenance that nobody waits for long, and a queue of notifications that may be full.
--
-- Whatever rows and objects a role has put there, partitions are made and dropped within the limits
-- that the caller sets (`daemon/store/history_partitions.py`), and what keeps one of them from being
-- made or dropped keeps no other.

-- What would have to be dropped with a table, and whose it is: views, functions and columns of its
-- row type, also temporary ones, for which no right on the table is needed.
CREATE FUNCTION webhook_dependents(tables oid) RETURNS TABLE (object text, role name)
    LANGUAGE sql STABLE AS $$
    WITH referred AS MATERIALIZED (
        SELECT 'pg_catalog.pg_class'::regclass::oid AS class, c.oid
          FROM pg_catalog.pg_class AS c
         WHERE c.oid = tables
         UNION ALL
        SELECT 'pg_catalog.pg_type'::regclass::oid, each.type
          FROM pg_catalog.pg_class AS c
          JOIN pg_catalog.pg_type AS t ON t.oid = c.reltype
         CROSS JOIN LATERAL (VALUES (t.oid), (t.typarray)) AS each (type)
         WHERE c.oid = tables
    ), found AS MATERIALIZED (
        SELECT DISTINCT d.classid, d.objid,
               CASE WHEN w.oid IS NULL THEN d.classid ELSE 'pg_catalog.pg_class'::regclass::oid END
                   AS owned_class,
               COALESCE(w.ev_class, d.objid) AS owned  -- a rule has the owner of its view
          FROM referred AS r
          JOIN pg_catalog.pg_depend AS d
            ON d.refclassid = r.class AND d.refobjid = r.oid AND d.deptype = 'n'::"char"
          LEFT JOIN pg_catalog.pg_rewrite AS w
            ON d.classid = 'pg_catalog.pg_rewrite'::regclass::oid AND w.oid = d.objid
         -- A part of the table, such as a trigger, is dropped with it.
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS part
                            WHERE part.classid = d.classid AND part.objid = d.objid
                              AND part.refclassid = 'pg_catalog.pg_class'::regclass::oid
                              AND part.refobjid = tables AND part.deptype <> 'n'::"char")
    )
    SELECT pg_catalog.pg_describe_object(f.classid, f.objid, 0),
           -- What the first superuser owns is not listed.
           COALESCE((SELECT a.rolname
                       FROM pg_catalog.pg_shdepend AS s
                       JOIN pg_catalog.pg_roles AS a ON a.oid = s.refobjid
                      WHERE s.dbid = (SELECT b.oid FROM pg_catalog.pg_database AS b
                                       WHERE b.datname = pg_catalog.current_database())
                        AND s.classid = f.owned_class AND s.objid = f.owned AND s.objsubid = 0
                        AND s.deptype = 'o'::"char"
                      LIMIT 1),
                    (SELECT a.rolname FROM pg_catalog.pg_roles AS a WHERE a.oid = '10'::oid))
      FROM found AS f
$$;

-- What keeps partitions from being dropped of which every attempt is older than that.
CREATE FUNCTION webhook_history_dependents(older_than interval)
    RETURNS TABLE (partition name, object text, role name) LANGUAGE sql STABLE AS $$
    SELECT p.partition, d.object, d.role
      FROM webhook_history_partitions() AS p
     CROSS JOIN LATERAL webhook_dependents(to_regclass(p.partition::text)::oid) AS d
     WHERE p.ends::timestamp AT TIME ZONE 'UTC' <= least(now(), now() - older_than)
$$;

-- Make the next partition, of so many days, unless the next seven days have theirs. Returns its name.
--
-- A day of which there are rows already has none: its rows stay in webhook_deliveries_undated, which
-- is read here without a lock and then once more under them. The caller limits lock_timeout and
-- statement_timeout, so that nobody waits for long however many rows it has.
CREATE OR REPLACE FUNCTION webhook_add_history_partition(days integer) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    ahead CONSTANT integer := 7;
    today CONSTANT date := (now() AT TIME ZONE 'UTC')::date;
    -- A partition of centuries could never be dropped.
    length CONSTANT integer := least(greatest(days, 1), 400);
    missing date[];
    taken date[];
    since date;
    until date;
    made text;
BEGIN
    IF to_regclass('webhook_deliveries_history'::text) IS NULL THEN
        RETURN NULL;
    END IF;
    LOCK TABLE webhook_deliveries_history IN SHARE UPDATE EXCLUSIVE MODE;
    missing := ARRAY(
        SELECT today + n
          FROM pg_catalog.generate_series(0, ahead) AS n
         WHERE NOT EXISTS (SELECT FROM webhook_history_partitions() AS p
                            WHERE p.begins <= today + n AND p.ends > today + n));
    IF pg_catalog.cardinality(missing) = 0 THEN
        RETURN NULL;
    END IF;
    taken := ARRAY(
        SELECT DISTINCT (u.attempted_at AT TIME ZONE 'UTC')::date
          FROM webhook_deliveries_undated AS u
         WHERE u.attempted_at >= today::timestamp AT TIME ZONE 'UTC'
           AND u.attempted_at < (today + ahead + length)::timestamp AT TIME ZONE 'UTC');
    LOOP
        since := (SELECT pg_catalog.min(day) FROM pg_catalog.unnest(missing) AS day
                   WHERE day <> ALL (taken));
        IF since IS NULL THEN
            RETURN NULL;
        END IF;
        until := least(
            since + length,
            (SELECT pg_catalog.min(p.begins) FROM webhook_history_partitions() AS p
              WHERE p.begins > since),
            (SELECT pg_catalog.min(day) FROM pg_catalog.unnest(taken) AS day WHERE day > since));
        made := pg_catalog.format('webhook_deliveries_%s_%s',
                                  pg_catalog.to_char(since::timestamp, 'YYYYMMDD'),
                                  pg_catalog.to_char(until::timestamp, 'YYYYMMDD'));
        BEGIN
            EXECUTE pg_catalog.format(
                'CREATE TABLE %I (LIKE webhook_deliveries_history INCLUDING DEFAULTS'
                ' INCLUDING CONSTRAINTS INCLUDING STORAGE, PRIMARY KEY (id))', made);
            LOCK TABLE webhook_deliveries_undated IN ACCESS EXCLUSIVE MODE;
            LOCK TABLE webhooks IN SHARE ROW EXCLUSIVE MODE;
            EXECUTE pg_catalog.format(
                'ALTER TABLE webhook_deliveries_history ATTACH PARTITION %I'
                ' FOR VALUES FROM (%L) TO (%L)',
                made, since::timestamp AT TIME ZONE 'UTC', until::timestamp AT TIME ZONE 'UTC');
            RETURN made;
        EXCEPTION WHEN check_violation THEN
            taken := pg_catalog.array_append(taken, since);  -- rows have come meanwhile
        END;
    END LOOP;
END $$;

-- Drop the oldest partition of which every attempt is older than that. Returns its name.
--
-- One on which something depends cannot be dropped: it is emptied, once no other is left to drop.
-- One that another session uses comes last: everyone would wait beside this, perhaps in vain.
CREATE OR REPLACE FUNCTION webhook_drop_history_partition(older_than interval) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    expired record;
BEGIN
    FOR expired IN
        SELECT p.partition::text AS name,
               EXISTS (SELECT FROM pg_catalog.pg_locks AS l
                        WHERE l.relation = to_regclass(p.partition::text)::oid
                          AND l.pid <> pg_catalog.pg_backend_pid()) AS is_used,
               EXISTS (SELECT FROM webhook_dependents(to_regclass(p.partition::text)::oid))
                   AS is_needed
          FROM webhook_history_partitions() AS p
         WHERE p.ends::timestamp AT TIME ZONE 'UTC' <= least(now(), now() - older_than)
         ORDER BY is_used, is_needed, p.ends
    LOOP
        IF NOT expired.is_needed THEN
            BEGIN
                EXECUTE pg_catalog.format('DROP TABLE IF EXISTS %I', expired.name);
                RETURN expired.name;
            EXCEPTION WHEN dependent_objects_still_exist THEN
                NULL;  -- since the search, or of a kind that is not searched for
            END;
        END IF;
        IF pg_catalog.pg_relation_size(to_regclass(expired.name)) > 0 THEN
            EXECUTE pg_catalog.format('TRUNCATE %I', expired.name);
            RETURN expired.name;
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- As before, but for temporary views and functions: any role may make them, without a right on the
-- table, and they end with their session. (Of a temporary table with a column of the row type,
-- PostgreSQL lets no column be added to this one.)
CREATE OR REPLACE FUNCTION webhook_partition_obstacles() RETURNS SETOF text LANGUAGE sql STABLE AS $$
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
                   AND p.classid = ANY ('{pg_class, pg_proc}'::regclass[]::oid[])
              LEFT JOIN pg_rewrite AS w
                ON p.classid = 'pg_rewrite'::regclass::oid AND w.oid = p.objid
              LEFT JOIN pg_class AS v ON v.oid = w.ev_class
              LEFT JOIN pg_proc AS f ON p.classid = 'pg_proc'::regclass::oid AND f.oid = p.objid
              LEFT JOIN pg_namespace AS n ON n.oid IN (v.relnamespace, f.pronamespace)
             WHERE n.oid IS NULL
                OR NOT pg_catalog.starts_with(n.nspname::text, 'pg_temp_'::text)) AS found
$$;

-- What the daemon notes on a delivery counts only if a daemon wrote it; see 0006. Besides, no rows of
-- the application keep partitions from being made, or the legacy one from being dropped.
CREATE OR REPLACE FUNCTION webhook_delivery_of_application() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'webhook_deliveries_legacy'::name THEN
        RAISE insufficient_privilege USING MESSAGE = 'webhook_deliveries_legacy gets no new rows';
    END IF;
    IF TG_TABLE_NAME = 'webhook_deliveries_undated'::name
       AND NEW.attempted_at > now() + '1 day'::interval THEN
        NEW.attempted_at := NULL;  -- no attempt was made on a day to come
    END IF;
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

-- A full queue of notifications fails whatever would notify. Any role can fill it, and keep it full;
-- so from its half on nothing of ours notifies, and daemons find by polling what there is to do.

CREATE OR REPLACE FUNCTION webhook_events_arrived() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    -- A trigger that was created before EXECUTE was revoked goes on firing.
    IF TG_RELID <> 'webhook_events'::regclass::oid THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'webhook_events_arrived() is only for the table webhook_events';
    END IF;
    INSERT INTO webhook_event_inbox (event_id, tenant_id) SELECT id, tenant_id FROM arrived;
    -- A prepared transaction must not notify: with `SET webhookd.notify = 'off'`, polling finds it.
    IF current_setting('webhookd.notify'::text, true) IS DISTINCT FROM 'off'
       AND pg_notification_queue_usage() < '0.5'::double precision THEN
        PERFORM pg_notify('webhookd_events'::text, ''::text);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION webhook_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('webhookd.notify'::text, true) IS NOT DISTINCT FROM 'off'
       OR pg_notification_queue_usage() >= '0.5'::double precision THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'webhooks' THEN
        PERFORM pg_notify('webhookd_due'::text, NEW.id::text);
    ELSE
        PERFORM pg_notify('webhookd_due'::text, NEW.webhook_id::text);
    END IF;
    RETURN NULL;
END $$;

DO $$
DECLARE
    tables CONSTANT name := (SELECT n.nspname
                               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.oid = 'webhook_event_inbox'::regclass::oid);
    found regprocedure;
BEGIN
    FOR found IN
        SELECT p.oid
          FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
         WHERE n.nspname = tables
           AND p.proname IN ('webhook_dependents', 'webhook_history_dependents',
                             'webhook_add_history_partition', 'webhook_drop_history_partition',
                             'webhook_partition_obstacles', 'webhook_delivery_of_application',
                             'webhook_events_arrived', 'webhook_due')
    LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = %I, pg_temp', found, tables);
    END LOOP;

    -- In a table without rows nobody waits for this; else the daemons do it one by one.
    IF NOT EXISTS (SELECT FROM webhook_deliveries) THEN
        WHILE webhook_add_history_partition(1) IS NOT NULL LOOP
        END LOOP;
    END IF;
END $$;

INSERT INTO webhookd_migrations (name) VALUES ('0023_locks_and_notifications');
