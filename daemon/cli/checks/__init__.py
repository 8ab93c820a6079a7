"""What `webhookd check` looks at."""
