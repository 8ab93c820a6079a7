-- Locks that daemons take among themselves, and no other role can keep from them.
--
-- They were advisory locks, which any role of the database may take and keep, without any right on our
-- tables: then nothing expired, nobody was mailed, and no webhook of a tenant could be made. To lock a
-- row here, a role needs UPDATE on the table.
CREATE TABLE webhook_locks (
    -- From the hash of a lock's name.
    slot BIGINT PRIMARY KEY
);
INSERT INTO webhook_locks (slot) SELECT n FROM pg_catalog.generate_series(0::bigint, 4095::bigint) AS n;

-- Default privileges may have granted something on it. Only daemons' roles get what they need: those
-- that may fold stats and change the inbox.
DO $$
DECLARE
    grantee name;
BEGIN
    REVOKE ALL ON webhook_locks FROM PUBLIC;
    FOR grantee IN
        SELECT DISTINCT r.rolname
          FROM pg_catalog.pg_class AS c
         CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS acl
          JOIN pg_catalog.pg_roles AS r ON r.oid = acl.grantee
         WHERE c.oid = 'webhook_locks'::regclass::oid AND acl.grantee <> c.relowner
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON webhook_locks FROM %I CASCADE', grantee);
    END LOOP;
    FOR grantee IN
        SELECT r.rolname
          FROM pg_catalog.pg_class AS c
         CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS acl
          JOIN pg_catalog.pg_roles AS r ON r.oid = acl.grantee
         WHERE c.oid = 'webhook_stats_progress'::regclass::oid AND acl.grantee <> c.relowner
               AND acl.privilege_type = 'UPDATE'
               AND pg_catalog.has_table_privilege(
                       r.oid, 'webhook_event_inbox'::regclass::oid, 'UPDATE'::text)
    LOOP
        EXECUTE pg_catalog.format('GRANT SELECT, UPDATE ON webhook_locks TO %I', grantee);
    END LOOP;
END $$;

INSERT INTO webhookd_migrations (name) VALUES ('0030_locks');
