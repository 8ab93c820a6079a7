"""The local receiver behind `webhookd listen`."""
