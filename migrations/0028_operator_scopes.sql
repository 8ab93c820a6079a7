-- Which webhooks operators have made for the operational events of all tenants.
--
-- The application may write any row into `webhooks`, but not here: a webhook of the scope 'operator'
-- gets events only with its row in this table.
CREATE TABLE webhook_operator_scopes (
    webhook_id UUID PRIMARY KEY REFERENCES webhooks (id) ON DELETE CASCADE,
    made_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- The name of the operator's token; NULL where this migration found the scope.
    made_by    TEXT
);

-- Whoever made them: they go on until an operator has reviewed them.
INSERT INTO webhook_operator_scopes (webhook_id)
SELECT id FROM webhooks WHERE scope::text = 'operator';

-- Default privileges may have granted something on it. Only daemons' roles get what they need: those
-- that may use tenants' tokens and change the inbox.
DO $$
DECLARE
    grantee name;
    granted record;
BEGIN
    REVOKE ALL ON webhook_operator_scopes FROM PUBLIC;
    FOR grantee IN
        SELECT DISTINCT r.rolname
          FROM pg_catalog.pg_class AS c
         CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS acl
          JOIN pg_catalog.pg_roles AS r ON r.oid = acl.grantee
         WHERE c.oid = 'webhook_operator_scopes'::regclass::oid AND acl.grantee <> c.relowner
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON webhook_operator_scopes FROM %I CASCADE', grantee);
    END LOOP;
    FOR granted IN
        SELECT r.rolname, acl.privilege_type AS privilege
          FROM pg_catalog.pg_class AS c
         CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS acl
          JOIN pg_catalog.pg_roles AS r ON r.oid = acl.grantee
         WHERE c.oid = 'webhook_tenant_tokens'::regclass::oid AND acl.grantee <> c.relowner
               AND acl.privilege_type IN ('SELECT', 'INSERT', 'DELETE')
               AND pg_catalog.has_table_privilege(
                       r.oid, 'webhook_event_inbox'::regclass::oid, 'UPDATE'::text)
    LOOP
        EXECUTE pg_catalog.format('GRANT %s ON webhook_operator_scopes TO %I',
                                  granted.privilege, granted.rolname);
    END LOOP;
END $$;

-- As before, but for who counts as a subscriber.
CREATE OR REPLACE FUNCTION webhook_paused_by_person() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_RELID <> 'webhooks'::regclass::oid THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'webhook_paused_by_person() is only for the table webhooks';
    END IF;
    -- A deletion pauses first, and is no pause.
    IF current_setting('webhookd.pause_events'::text, true) IS NOT DISTINCT FROM 'off' THEN
        RETURN NULL;
    END IF;
    IF EXISTS (SELECT FROM webhook_operator_scopes)
       OR EXISTS (SELECT FROM webhooks AS s
                   WHERE s.tenant_id = NEW.tenant_id AND s.scope::text = 'account') THEN
        INSERT INTO webhook_operational_events (tenant_id, webhook_id, type, data)
        VALUES (NEW.tenant_id, NEW.id, 'webhook.paused',
                pg_catalog.jsonb_build_object(
                    'tenant_id'::text, NEW.tenant_id, 'webhook_id'::text, NEW.id,
                    'webhook_name'::text, NEW.name,
                    'consecutive_failures'::text, NEW.consecutive_failures,
                    'reason'::text, 'person'::text));
    END IF;
    RETURN NULL;
END $$;

-- A role that may update webhooks must not send an operator's events to a URL of its own, nor show the
-- webhook's deliveries to a tenant: only roles that may make such webhooks change these columns.
--
-- Not SECURITY DEFINER, because it asks for the rights of the role that updates.
CREATE FUNCTION webhook_keep_of_operator() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_catalog.has_table_privilege(
               'webhook_operator_scopes'::regclass::oid, 'INSERT'::text) THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'the URL and the scope of a webhook of operators are changed over the API';
    END IF;
    RETURN NEW;
END $$;

-- CREATE OR REPLACE keeps the rights of a function, and drops its search_path.
DO $$
DECLARE
    tables CONSTANT name := (SELECT n.nspname
                               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.oid = 'webhook_event_inbox'::regclass::oid);
BEGIN
    EXECUTE pg_catalog.format(
        'ALTER FUNCTION webhook_paused_by_person() SET search_path = %I, pg_temp', tables);
    EXECUTE pg_catalog.format(
        'ALTER FUNCTION webhook_keep_of_operator() SET search_path = %I, pg_temp', tables);
END $$;

CREATE TRIGGER webhooks_keep_of_operator BEFORE UPDATE OF endpoint_url, scope ON webhooks
    FOR EACH ROW WHEN (OLD.scope::text = 'operator'
                       AND (NEW.endpoint_url IS DISTINCT FROM OLD.endpoint_url
                            OR NEW.scope::text <> OLD.scope::text))
    EXECUTE FUNCTION webhook_keep_of_operator();

INSERT INTO webhookd_migrations (name) VALUES ('0028_operator_scopes');
