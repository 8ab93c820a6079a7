-- Webhooks of all tenants by the host of their URL, those at hosts below it too, and by the address
-- that is mailed about them. Neither changes when a result is stored, so such updates stay HOT.
--
-- Hosts are stored backwards, so that those below a domain stand together, and in the order of bytes.
-- Their length is bounded, because the application may write any URL.
CREATE INDEX webhooks_by_host ON webhooks ((
    pg_catalog.reverse(pg_catalog.left(pg_catalog.rtrim(pg_catalog.lower(pg_catalog.substring(
        pg_catalog.left(endpoint_url::text, 2048), '^\w+://(\[[^][]*\]|[^][/?#:]*)'::text)),
        '.'::text), 255))) COLLATE "C");

CREATE INDEX webhooks_by_notification_email ON webhooks
    (pg_catalog.lower(notification_email::text))
    WHERE notification_email IS NOT NULL;

INSERT INTO webhookd_migrations (name) VALUES ('0031_search_across_tenants');
