-- Who may be mailed, and how often.

-- Requests for confirmation, one for each tenant and address. A row outlives the webhook that it was
-- made for: it limits how often the address is mailed.
CREATE TABLE webhook_email_confirmations (
    tenant_id    UUID NOT NULL,
    address      VARCHAR(320) NOT NULL,
    -- The address without +tag and dots: the mailbox that the limits count.
    mailbox      VARCHAR(320) NOT NULL,
    requested_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    requests     INTEGER NOT NULL DEFAULT 1,
    -- When the mail is to be sent; while it is being sent, the end of the lease; then infinity.
    due_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
    tries        INTEGER NOT NULL DEFAULT 0,
    -- SHA-256 of the code in the latest mail.
    code_hash    BYTEA,
    expires_at   TIMESTAMPTZ,
    confirmed_at TIMESTAMPTZ,
    -- When the API last stored the address, or asked for a mail to it.
    used_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, address)
);

CREATE INDEX webhook_email_confirmations_of_mailbox
    ON webhook_email_confirmations (mailbox, requested_at);
CREATE INDEX webhook_email_confirmations_by_time ON webhook_email_confirmations (requested_at);
CREATE INDEX webhook_email_confirmations_by_use ON webhook_email_confirmations (used_at);
CREATE INDEX webhook_email_confirmations_due ON webhook_email_confirmations (due_at)
    WHERE due_at < 'infinity';
CREATE UNIQUE INDEX webhook_email_confirmations_code ON webhook_email_confirmations (code_hash);

-- When each recipient of notices may be mailed next. The administrators share the row ''.
CREATE TABLE webhook_mail_recipients (
    address      VARCHAR(320) PRIMARY KEY,
    next_mail_at TIMESTAMPTZ NOT NULL,
    -- While a daemon is mailing, no other one mails the same recipient.
    leased_until TIMESTAMPTZ
);

CREATE INDEX webhook_mail_recipients_by_time ON webhook_mail_recipients (next_mail_at);

-- The mails of the last hour about one tenant's webhooks.
CREATE INDEX webhook_notices_sent_of_tenant ON webhook_notices (tenant_id, sent_at)
    WHERE sent_at IS NOT NULL;

-- Last, because the lock that this takes is held until the end.
-- The address that a caller of the API entered, in lower case and without a display name, until its
-- owner confirms it. An address that the application writes into notification_email differs from
-- this, and counts as confirmed; so do all addresses that were stored before this migration.
ALTER TABLE webhooks ADD COLUMN unconfirmed_email VARCHAR(320);

INSERT INTO webhookd_migrations (name) VALUES ('0008_mail_recipients');
