"""PenguinMails Webhooks: from a committed row to a signed, retried, recorded POST."""
