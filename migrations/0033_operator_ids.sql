-- A webhook of operators keeps its id and its tenant, too.
--
-- One statement could give it another id and insert a webhook with the former one: the foreign key of
-- webhook_operator_scopes is checked at the end of a statement, and was satisfied by the new row, which
-- then got the operational events of all tenants.
CREATE OR REPLACE TRIGGER webhooks_keep_of_operator
    BEFORE UPDATE OF id, tenant_id, endpoint_url, scope ON webhooks
    FOR EACH ROW WHEN (OLD.scope::text = 'operator'
                       AND (NEW.id <> OLD.id
                            OR NEW.tenant_id <> OLD.tenant_id
                            OR NEW.endpoint_url IS DISTINCT FROM OLD.endpoint_url
                            OR NEW.scope::text <> OLD.scope::text))
    EXECUTE FUNCTION webhook_keep_of_operator();

-- CREATE OR REPLACE keeps the rights of a function, and drops its search_path.
CREATE OR REPLACE FUNCTION webhook_keep_of_operator() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_catalog.has_table_privilege(
               'webhook_operator_scopes'::regclass::oid, 'INSERT'::text) THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'the URL and the scope of a webhook of operators are changed over the API,'
                            ' and its id and its tenant are not changed';
    END IF;
    RETURN NEW;
END $$;

DO $$
DECLARE
    tables CONSTANT name := (SELECT n.nspname
                               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.oid = 'webhook_event_inbox'::regclass::oid);
BEGIN
    EXECUTE pg_catalog.format(
        'ALTER FUNCTION webhook_keep_of_operator() SET search_path = %I, pg_temp', tables);
END $$;

INSERT INTO webhookd_migrations (name) VALUES ('0033_operator_ids');
