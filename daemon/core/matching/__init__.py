"""Which webhooks get an event: filters compiled into matchers, and an index of them by type."""
