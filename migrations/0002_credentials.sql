-- What a webhook's requests carry beside the signature, and secrets at rest.

-- Sealed, a secret is longer than plain; a plain one is bounded as before.
ALTER TABLE webhooks
    ALTER COLUMN secret_key TYPE VARCHAR(2048),
    ALTER COLUMN previous_secret_key TYPE VARCHAR(2048),
    ADD CONSTRAINT webhooks_secret_length
        CHECK (length(secret_key) <= 255 OR secret_key LIKE 'sealed:%'),
    -- The webhook's own headers: a JSON object of names and values, each value plain or sealed.
    ADD COLUMN custom_headers     JSONB,
    -- With which the webhook shows the receiver who calls: a chain and its key, in PEM.
    ADD COLUMN client_certificate TEXT,
    ADD COLUMN client_key         TEXT,
    -- The master key under which all of the row's secrets are sealed; empty when any may be plain.
    ADD COLUMN sealed_with        VARCHAR(32) NOT NULL DEFAULT '';

CREATE INDEX webhooks_sealed_with ON webhooks (sealed_with);
CREATE INDEX webhooks_secret_expiry ON webhooks (previous_secret_expires_at)
    WHERE previous_secret_expires_at IS NOT NULL;

-- Whoever writes a secret writes it plain, unless he says otherwise.
CREATE FUNCTION webhooks_secret_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.sealed_with := '';
    RETURN NEW;
END $$;

CREATE TRIGGER webhooks_secret_written
    BEFORE UPDATE OF secret_key, previous_secret_key, custom_headers, client_key ON webhooks
    FOR EACH ROW WHEN (NEW.sealed_with = OLD.sealed_with)
    EXECUTE FUNCTION webhooks_secret_written();

INSERT INTO webhookd_migrations (name) VALUES ('0002_credentials');
