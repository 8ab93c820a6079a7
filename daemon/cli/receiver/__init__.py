"""The local receiver of `webhookd listen`; `webhookd demo` serves its sample endpoints with it."""
