"""The specification's tables, as it prints them, and as an application has filled them."""

import asyncpg

# Before the specification's own: its `webhooks` refers to this one.
TENANTS = "CREATE TABLE tenants (id UUID PRIMARY KEY, name TEXT)"

TABLES = """
-- Webhook endpoints
CREATE TABLE webhooks (
id UUID PRIMARY KEY,
tenant_id UUID NOT NULL REFERENCES tenants(id),
-- Configuration
name VARCHAR(255) NOT NULL,
description TEXT,
endpoint_url TEXT NOT NULL,
secret_key VARCHAR(255) NOT NULL, -- For signature generation
-- Event filtering
event_types TEXT[], -- e.g., ['email.opened', 'email.clicked']
event_filters JSONB, -- Additional filtering criteria
-- Status
is_active BOOLEAN DEFAULT TRUE,
is_failing BOOLEAN DEFAULT FALSE,
consecutive_failures INTEGER DEFAULT 0,
last_success_at TIMESTAMP,
last_failure_at TIMESTAMP,
-- Metadata
created_at TIMESTAMP DEFAULT NOW(),
updated_at TIMESTAMP DEFAULT NOW()
);
-- Webhook delivery attempts
CREATE TABLE webhook_deliveries (
id UUID PRIMARY KEY,
webhook_id UUID NOT NULL REFERENCES webhooks(id),
event_id UUID NOT NULL,
-- Request
event_type VARCHAR(100),
payload JSONB,
signature VARCHAR(255),
-- Response
status_code INTEGER,
response_body TEXT,
response_headers JSONB,
-- Timing
duration_ms INTEGER,
attempted_at TIMESTAMP DEFAULT NOW(),
-- Retry tracking
attempt_number INTEGER DEFAULT 1,
next_retry_at TIMESTAMP,
-- Status
status VARCHAR(50), -- success, failed, pending_retry
error_message TEXT
);
CREATE INDEX idx_webhook_deliveries_webhook ON webhook_deliveries(webhook_id, attempted_at);
CREATE INDEX idx_webhook_deliveries_status ON webhook_deliveries(status, next_retry_at);
-- Events log (for replay)
CREATE TABLE webhook_events (
id UUID PRIMARY KEY,
tenant_id UUID NOT NULL,
event_type VARCHAR(100),
event_data JSONB,
created_at TIMESTAMP DEFAULT NOW()
);
CREATE INDEX idx_webhook_events_tenant_type ON webhook_events(tenant_id, event_type, created_at);
"""

TENANT = "00000000-0000-0000-0000-00000000000a"
WEBHOOK = "00000000-0000-0000-0000-0000000000b1"
INSERT_WEBHOOK = f"""
    INSERT INTO tenants VALUES ('{TENANT}', 'A tenant');
    INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key)
    VALUES ('{WEBHOOK}', '{TENANT}', 'CRM', 'https://example.com/hook', 'whsec_abc')
"""
INSERT_EVENTS = f"""
    INSERT INTO webhook_events
    SELECT gen_random_uuid(), '{TENANT}', 'email.opened', '{{"n": 1}}',
           localtimestamp - n * interval '1 second'
      FROM generate_series(1, $1::int) AS n
"""
INSERT_DELIVERIES = f"""
    INSERT INTO webhook_deliveries
    SELECT gen_random_uuid(), '{WEBHOOK}', gen_random_uuid(), 'email.opened', '{{"n": 1}}',
           'sha256=00', 200, 'OK', '{{}}', 12, localtimestamp - n * interval '1 second', 1,
           CASE WHEN n % 100 = 0 THEN localtimestamp END,
           CASE WHEN n % 100 = 0 THEN 'pending_retry' ELSE 'success' END
      FROM generate_series(1, $1::int) AS n
"""
INSERT_PENDING = f"""
    INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, payload, status,
                                    next_retry_at)
    VALUES (gen_random_uuid(), '{WEBHOOK}', gen_random_uuid(), 'email.opened',
            '{{"n": 2}}', 'pending_retry', $1)
"""


async def create_tables(connection: asyncpg.Connection) -> None:
    """Create the tables, without rows."""
    await connection.execute(f"{TENANTS}; {TABLES}")


async def fill(connection: asyncpg.Connection, *, events: int, deliveries: int) -> None:
    """Insert a webhook, and so many rows; one in a hundred deliveries is pending."""
    await connection.execute(INSERT_WEBHOOK)
    await connection.execute(INSERT_EVENTS, events)
    await connection.execute(INSERT_DELIVERIES, deliveries)
