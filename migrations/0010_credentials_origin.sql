-- Sealed headers and client keys are bound to the origin of their webhook's URL.
--
-- Those of earlier versions were sealed without an origin. This lists them with the URL that their
-- webhook has now: the daemon binds each of them to the origin of that URL, whatever the row says by
-- then, and removes it from the list. A value without an origin whose webhook is not listed here
-- opens nowhere, so that no old copy of one can be used again. The application's role needs no right
-- on this table, and must not get one.

-- The foreign key also keeps others from writing webhooks until this ends, after one pass over that
-- small table, so that none is missed.
CREATE TABLE webhook_unbound_secrets (
    webhook_id   UUID PRIMARY KEY REFERENCES webhooks (id) ON DELETE CASCADE,
    endpoint_url TEXT NOT NULL
);

WITH sealed AS MATERIALIZED (
    SELECT id, endpoint_url
      FROM webhooks
     WHERE client_key LIKE 'sealed:%'
        -- Measured first: the application may have written numbers that print as a gigabyte.
        OR CASE WHEN webhook_payload_bytes(custom_headers, 262144::bigint) <= 262144
                THEN custom_headers::text LIKE '%"sealed:%' END
)
INSERT INTO webhook_unbound_secrets (webhook_id, endpoint_url) SELECT id, endpoint_url FROM sealed;

INSERT INTO webhookd_migrations (name) VALUES ('0010_credentials_origin');
