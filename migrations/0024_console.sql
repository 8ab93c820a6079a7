-- Who may look at the console: the portal links of tenants, and operators who are signed in.

-- A portal link is entered once, with its code; then it is the session of that browser.
CREATE TABLE webhook_portal_links (
    id         UUID PRIMARY KEY,
    tenant_id  UUID NOT NULL,
    -- The webhook at which the console opens.
    webhook_id UUID,
    scope      VARCHAR(10) NOT NULL CHECK (scope::text IN ('full', 'read')),
    theme      VARCHAR(10) CHECK (theme::text IN ('light', 'dark')),
    -- SHA-256 of the code in the link.
    code_hash  BYTEA NOT NULL UNIQUE,
    -- The name of the operator's token that created it.
    created_by TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    entered_at TIMESTAMPTZ,
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX webhook_portal_links_of_tenant ON webhook_portal_links (tenant_id, expires_at);
CREATE INDEX webhook_portal_links_by_time ON webhook_portal_links (created_at, id);
CREATE INDEX webhook_portal_links_by_expiry ON webhook_portal_links (expires_at);

CREATE TABLE webhook_operator_sessions (
    id         UUID PRIMARY KEY,
    -- The name of the token with which the operator signed in.
    operator   TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX webhook_operator_sessions_by_expiry ON webhook_operator_sessions (expires_at);

-- The roles of daemons that may use tenants' tokens may use these likewise.
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
        EXECUTE pg_catalog.format('GRANT %s ON webhook_portal_links, webhook_operator_sessions TO %s',
                                  granted.privilege, granted.role);
        IF granted.privilege = 'INSERT' THEN
            EXECUTE pg_catalog.format('GRANT UPDATE ON webhook_portal_links TO %s', granted.role);
        END IF;
    END LOOP;
END $$;

-- How the attempts of all webhooks went, counted by the minute, from when this was applied. `cells` and
-- `counts` are those of webhook_stats.
CREATE TABLE webhook_stats_totals (
    minute TIMESTAMPTZ PRIMARY KEY,
    cells  INTEGER[] NOT NULL,
    counts BIGINT[] NOT NULL
) WITH (fillfactor = 70);

-- The roles of daemons need these to count from now on.
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT acl.grantee::regrole::text AS role, acl.privilege_type AS privilege
          FROM pg_class AS c
         CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS acl
         WHERE c.oid = 'webhook_stats'::regclass::oid AND acl.grantee <> 0::oid
               AND acl.grantee <> c.relowner
               AND acl.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE pg_catalog.format('GRANT %s ON webhook_stats_totals TO %s',
                                  granted.privilege, granted.role);
    END LOOP;
END $$;

-- The tenants with trouble, wherever they are among all others. A CASE, because a planner without
-- statistics could choose an index on NOT is_active for the paused webhooks of one tenant, which has one
-- of its own. Last, because the lock on webhooks that this takes is held until the end.
CREATE INDEX webhooks_in_trouble ON webhooks (tenant_id, is_active)
    WHERE CASE WHEN is_active THEN is_failing ELSE true END;

INSERT INTO webhookd_migrations (name) VALUES ('0024_console');
