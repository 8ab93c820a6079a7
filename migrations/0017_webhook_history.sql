-- What webhooks were before each change: active or paused, and which events they wanted.
--
-- A row is written when it stops being true, so a webhook that never changed has none, and one that
-- exists already needs none. What is true now is in webhooks.

CREATE TABLE webhook_history (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id    UUID NOT NULL,
    tenant_id     UUID NOT NULL,
    -- NULL where it began before this table did.
    since         TIMESTAMPTZ,
    until         TIMESTAMPTZ NOT NULL,
    is_active     BOOLEAN NOT NULL,
    -- Of a webhook that was paused: as in webhooks, NULL when a person did it.
    paused_reason TEXT,
    event_types   TEXT[],
    -- As text, cut off above the length at which a filter is refused anyhow.
    event_filters TEXT,
    -- The webhook was deleted at `until`. It has no foreign key for that reason.
    deleted       BOOLEAN NOT NULL
);

CREATE INDEX webhook_history_of_webhook ON webhook_history (webhook_id, until, id);
CREATE INDEX webhook_history_of_tenant ON webhook_history (tenant_id, until);
CREATE INDEX webhook_history_by_time ON webhook_history (until);

-- SECURITY DEFINER, so that the application's role needs no right on the history. Results pause
-- webhooks too: this waits for no lock, and no value of a row makes it fail.
CREATE FUNCTION webhook_keep_history() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    most_versions CONSTANT bigint := 100;
    most_bytes CONSTANT bigint := 262144;
    -- As in store/webhook_columns.py.
    most_filter_memory CONSTANT bigint := 99328;
    most_filter_bytes CONSTANT bigint := 65536;
    most_types_bytes CONSTANT bigint := 66400;
    began timestamptz;
    types text[];
    filters text;
    surplus bigint[];
BEGIN
    IF TG_RELID <> 'webhooks'::regclass::oid THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'webhook_keep_history() is only for the table webhooks';
    END IF;
    -- A range of keys, because only one index can serve that.
    SELECT h.until INTO began
      FROM webhook_history AS h
     WHERE (h.webhook_id, h.until) <= (OLD.id, 'infinity'::timestamptz)
       AND (h.webhook_id, h.until) >= (OLD.id, '-infinity'::timestamptz)
     ORDER BY h.webhook_id DESC, h.until DESC, h.id DESC
     LIMIT 1;
    IF began IS NULL AND OLD.created_at >= (SELECT m.applied_at
                                              FROM webhookd_migrations AS m
                                             WHERE m.name = '0017_webhook_history'::text) THEN
        began := OLD.created_at;
    END IF;
    types := OLD.event_types;
    IF pg_catalog.pg_column_size(types)::bigint > most_types_bytes
       OR pg_catalog.cardinality(types) > 100
       OR pg_catalog.pg_column_size(pg_catalog.array_cat(types, ARRAY[]::text[]))::bigint
          > most_types_bytes THEN
        types := pg_catalog.array_fill('too large'::text, ARRAY[101]);
    END IF;
    IF OLD.event_filters IS NOT NULL THEN
        filters := pg_catalog.repeat(' '::text, 16385);
        IF pg_catalog.pg_column_size(OLD.event_filters)::bigint <= most_filter_memory THEN
            IF webhook_payload_bytes(OLD.event_filters, most_filter_bytes) <= most_filter_bytes THEN
                filters := pg_catalog."left"(OLD.event_filters::text, 16385);
            END IF;
        END IF;
    END IF;
    INSERT INTO webhook_history (webhook_id, tenant_id, since, until, is_active, paused_reason,
                                 event_types, event_filters, deleted)
    VALUES (OLD.id, OLD.tenant_id, began, pg_catalog.clock_timestamp(), OLD.is_active,
            pg_catalog."left"(OLD.paused_reason, 100), types, filters, TG_OP = 'DELETE'::text);

    -- The newest are kept: changing a webhook all day long fills no table, and slows nothing down.
    surplus := ARRAY(
        SELECT summed.id
          FROM (SELECT newest.id, pg_catalog.row_number() OVER latest AS place,
                       pg_catalog.sum(newest.bytes) OVER latest AS bytes
                  FROM (SELECT h.id, h.until,
                               (COALESCE(pg_catalog.pg_column_size(h.event_types), 0)
                                + COALESCE(pg_catalog.pg_column_size(h.event_filters), 0)) AS bytes
                          FROM webhook_history AS h
                         WHERE (h.webhook_id, h.until) <= (OLD.id, 'infinity'::timestamptz)
                           AND (h.webhook_id, h.until) >= (OLD.id, '-infinity'::timestamptz)
                         ORDER BY h.webhook_id DESC, h.until DESC, h.id DESC
                         LIMIT most_versions + 1) AS newest
                WINDOW latest AS (ORDER BY newest.until DESC, newest.id DESC)) AS summed
         WHERE summed.place > most_versions OR summed.bytes > most_bytes);
    IF pg_catalog.cardinality(surplus) > 0 THEN
        DELETE FROM webhook_history AS h
         WHERE h.id = ANY (ARRAY(SELECT s.id FROM webhook_history AS s WHERE s.id = ANY (surplus)
                                    FOR UPDATE SKIP LOCKED));
    END IF;
    RETURN NULL;
END $$;

DO $$
DECLARE
    tables CONSTANT name := (SELECT n.nspname
                               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.oid = 'webhook_event_inbox'::regclass::oid);
    kept CONSTANT regprocedure := 'webhook_keep_history()'::regprocedure;
    grantee name;
BEGIN
    EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = %I, pg_temp', kept, tables);
    -- As in 0012.
    EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC CASCADE', kept);
    FOR grantee IN
        SELECT r.rolname
          FROM pg_catalog.pg_proc AS p
         CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) AS acl
          JOIN pg_catalog.pg_roles AS r ON r.oid = acl.grantee
         WHERE p.oid = kept::oid AND acl.grantee <> p.proowner
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM %I CASCADE', kept, grantee);
    END LOOP;
END $$;

-- Last, because the lock on webhooks that these take is held until the end. Two of them, because
-- each result names is_active: a comparison of filters would cost more than the result.
CREATE TRIGGER webhooks_history_of_state AFTER UPDATE OF is_active ON webhooks
    FOR EACH ROW WHEN (OLD.is_active IS DISTINCT FROM NEW.is_active)
    EXECUTE FUNCTION webhook_keep_history();

CREATE TRIGGER webhooks_history_of_settings
    AFTER UPDATE OF tenant_id, event_types, event_filters ON webhooks
    FOR EACH ROW WHEN (OLD.is_active IS NOT DISTINCT FROM NEW.is_active
                       AND (OLD.tenant_id IS DISTINCT FROM NEW.tenant_id
                            -- By name: an overload for text[] would be preferred to the operator.
                            OR (OLD.event_types IS NULL) <> (NEW.event_types IS NULL)
                            OR pg_catalog.array_ne(OLD.event_types, NEW.event_types)
                            OR OLD.event_filters IS DISTINCT FROM NEW.event_filters))
    EXECUTE FUNCTION webhook_keep_history();

CREATE TRIGGER webhooks_history_of_deletion AFTER DELETE ON webhooks
    FOR EACH ROW EXECUTE FUNCTION webhook_keep_history();

INSERT INTO webhookd_migrations (name) VALUES ('0017_webhook_history');
