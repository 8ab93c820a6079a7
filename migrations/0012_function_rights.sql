-- Functions that run as their owner serve the triggers of our own tables, and no others.
--
-- Creating a trigger needs EXECUTE on its function; firing one does not. With that right, a role could
-- put one of these functions on a table of its own, even a temporary one, with columns of a type whose
-- cast to uuid is a function of the role: it would run as the owner.
--
-- Here too, functions and operators are called with exactly the types that they are declared for.

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
    IF current_setting('webhookd.notify'::text, true) IS DISTINCT FROM 'off' THEN
        PERFORM pg_notify('webhookd_events'::text, ''::text);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION webhook_subscription_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_RELID <> 'webhooks'::regclass::oid THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'webhook_subscription_changed() is only for the table webhooks';
    END IF;
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO webhook_subscription_changes (tenant_id, webhook_id)
        VALUES (OLD.tenant_id, OLD.id);
    END IF;
    IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND (NEW.tenant_id, NEW.id) <> (OLD.tenant_id, OLD.id) THEN
        INSERT INTO webhook_subscription_changes (tenant_id, webhook_id)
        VALUES (NEW.tenant_id, NEW.id);
    END IF;
    RETURN NULL;
END $$;

DO $$
DECLARE
    tables CONSTANT name := (SELECT n.nspname
                               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.oid = 'webhook_event_inbox'::regclass::oid);
    functions CONSTANT regprocedure[] := ARRAY['webhook_events_arrived()'::regprocedure,
                                               'webhook_subscription_changed()'::regprocedure];
    found regprocedure;
    grantee name;
BEGIN
    FOREACH found IN ARRAY functions LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = %I, pg_temp', found, tables);
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC CASCADE', found);
        -- Default privileges, or GRANT … ON ALL FUNCTIONS, may name roles.
        FOR grantee IN
            SELECT r.rolname
              FROM pg_catalog.pg_proc AS p
             CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) AS acl
              JOIN pg_catalog.pg_roles AS r ON r.oid = acl.grantee
             WHERE p.oid = found::oid AND acl.grantee <> p.proowner
        LOOP
            EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM %I CASCADE', found, grantee);
        END LOOP;
    END LOOP;
END $$;

INSERT INTO webhookd_migrations (name) VALUES ('0012_function_rights');
