-- What is not sent for now, because an operator holds it; and to which installation this database
-- belongs.

-- A hold of one tenant, or of everything: its row has zeros, which are no tenant. Every claim looks
-- here, so that no daemon needs to be told.
CREATE TABLE webhook_holds (
    tenant_id UUID PRIMARY KEY,
    since     TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- The name of an operator's token, or a user of the operating system.
    held_by   TEXT NOT NULL,
    reason    TEXT
);

-- The name of the installation whose daemons may send from this database, in one row; without it,
-- nobody's yet. A copy of the database takes it along.
CREATE TABLE webhook_installation (
    is_only    BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only),
    name       TEXT NOT NULL,
    adopted_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- The roles of daemons that may use tenants' tokens may hold and release, and all of them look.
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT acl.grantee::regrole::text AS role, acl.privilege_type AS privilege
          FROM pg_class AS c
         CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS acl
         WHERE c.oid = 'webhook_tenant_tokens'::regclass::oid AND acl.grantee <> 0::oid
               AND acl.grantee <> c.relowner
               AND acl.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE pg_catalog.format('GRANT %s ON webhook_holds TO %s',
                                  granted.privilege, granted.role);
        IF granted.privilege = 'SELECT' THEN
            EXECUTE pg_catalog.format('GRANT SELECT, INSERT, UPDATE ON webhook_installation TO %s',
                                      granted.role);
        END IF;
    END LOOP;
END $$;

-- Why it was done, where somebody said so. Last, because the lock on the table is held until the end.
ALTER TABLE webhook_audit ADD COLUMN reason TEXT;

INSERT INTO webhookd_migrations (name) VALUES ('0025_holds');
