-- The roles of an installation, and their privileges: four roles, of which none is a superuser.
--
--     webhookd_owner        owns the tables; `webhookd migrate` connects as this role
--     webhookd_daemon       `webhookd run` and the other commands connect as this role
--     webhookd_application  granted to the application's own role, which inserts events and webhooks
--     webhookd_support      reads webhooks and deliveries, and no secret
--
-- Paste it, or `psql -f roles.sql`, as a superuser, or as a role that may create roles and is a member of
-- those to which the tables belong: before the first `webhookd migrate`, for the roles, and after each
-- one, for the privileges on what it has created. It may be run any number of times. Passwords are yours
-- to set: \password webhookd_owner

BEGIN;

DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT * FROM (VALUES ('webhookd_owner', 'LOGIN'), ('webhookd_daemon', 'LOGIN'),
                              ('webhookd_application', 'NOLOGIN'), ('webhookd_support', 'LOGIN'))
                      AS roles (name, login)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
            EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.login);
        END IF;
    END LOOP;
END $$;

-- Only the owner creates anything where the tables are: see docs/security.md.
DO $$
BEGIN
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO webhookd_owner', current_schema());
    EXECUTE format('GRANT USAGE ON SCHEMA %I'
                   ' TO webhookd_daemon, webhookd_application, webhookd_support', current_schema());
    -- `webhooks` refers to the application's table, if there is one. To show the names of tenants to
    -- operators: GRANT SELECT ON tenants TO webhookd_daemon. PostgreSQL checks the foreign key in the
    -- daemon's sessions, where the owner of `tenants` can take the daemon's rights. If it must not:
    -- ALTER TABLE tenants OWNER TO webhookd_owner, and GRANT what the application needs on it.
    IF to_regclass('tenants') IS NOT NULL THEN
        GRANT REFERENCES ON tenants TO webhookd_owner;
        GRANT SELECT (id) ON tenants TO webhookd_daemon, webhookd_support;
    END IF;
END $$;

DO $$
DECLARE
    granted record;
BEGIN
    IF to_regclass('webhookd_migrations') IS NULL THEN
        RETURN;  -- before the first migration
    END IF;
    FOR granted IN
        SELECT * FROM (VALUES
            -- The daemon, with its API.
            ('SELECT, INSERT, UPDATE, DELETE', 'webhookd_daemon',
             '{webhooks, webhook_deliveries, webhook_event_inbox, webhook_notices, webhook_replays,
               webhook_replay_results, webhook_mail_recipients, webhook_operational_events,
               webhook_email_confirmations, webhook_stats, webhook_stats_totals}'::text[]),
            ('SELECT, UPDATE, DELETE', 'webhookd_daemon', '{webhook_events, webhook_history}'),
            ('SELECT, INSERT, UPDATE, DELETE', 'webhookd_daemon',
             '{webhook_portal_links, webhook_idempotency_keys}'),
            ('SELECT, INSERT, DELETE', 'webhookd_daemon',
             '{webhook_audit, webhook_tenant_tokens, webhook_operator_sessions,
               webhook_operator_scopes, webhook_holds, webhook_stats_batches}'),
            ('SELECT, INSERT, UPDATE', 'webhookd_daemon',
             '{webhook_pacing, webhook_installation}'),
            ('SELECT, DELETE', 'webhookd_daemon',
             '{webhook_subscription_changes, webhook_unbound_secrets}'),
            ('SELECT, UPDATE', 'webhookd_daemon', '{webhook_stats_progress, webhook_locks}'),
            ('SELECT', 'webhookd_daemon', '{webhookd_migrations}'),

            -- The application, `INSERT … RETURNING id` included. If it changes webhooks itself, add
            -- what it does there: GRANT SELECT, UPDATE, DELETE ON webhooks TO webhookd_application.
            -- Grant it nothing on the other tables, and neither TRIGGER nor REFERENCES.
            ('INSERT, SELECT (id)', 'webhookd_application',
             '{webhook_events, webhooks, webhook_deliveries}'),

            -- Support: neither secrets, nor what is a credential or stored in place of one.
            ('SELECT (id, tenant_id, name, description, endpoint_url, event_types, event_filters,
                      filter_error, is_active, is_failing, consecutive_failures, paused_reason,
                      paused_at, last_success_at, last_failure_at, failing_since, next_probe_at,
                      failed_probes, notification_email, unconfirmed_email, timeout_ms,
                      max_per_second, max_in_flight, retry_schedule, client_errors_final, scope,
                      created_at, updated_at)', 'webhookd_support', '{webhooks}'),
            ('SELECT', 'webhookd_support',
             '{webhook_events, webhook_deliveries, webhook_event_inbox, webhook_history,
               webhook_notices, webhook_replays, webhook_replay_results, webhook_audit,
               webhook_operational_events, webhook_stats, webhook_stats_totals, webhook_holds,
               webhook_operator_scopes, webhook_installation, webhook_pacing, webhookd_migrations}')
        ) AS privileges (what, role, tables)
    LOOP
        EXECUTE format('GRANT %s ON %s TO %I', granted.what,
                       array_to_string(granted.tables, ', '), granted.role);
    END LOOP;
    -- With these the daemon makes and drops partitions, which only their owner could otherwise.
    GRANT EXECUTE ON FUNCTION webhook_add_history_partition(integer),
                              webhook_drop_history_partition(interval) TO webhookd_daemon;
END $$;

COMMIT;
