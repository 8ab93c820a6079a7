"""The checks that `webhookd check` runs, one module per subject."""
