"""The fields of an event's data that can identify a contact, by id or by email address."""

# Arrays along a path are searched element by element: `to` may hold one address or many, and
# `contacts` may hold ids or objects.
CONTACT_FIELDS = (
    *("contact_id", "contactId", "contact_ids", "contactIds"),
    *("contact", "contact.id", "contact.contact_id", "contact.contactId", "contact.email"),
    *("contacts", "contacts.id", "contacts.contact_id", "contacts.contactId", "contacts.email"),
    *("contact_email", "contactEmail", "email", "email_address", "emailAddress"),
    *("recipient", "recipient.id", "recipient.email", "recipient_email", "recipientEmail"),
    *("recipients", "recipients.id", "recipients.email"),
    *("to", "to.email", "to.address", "cc", "cc.email", "cc.address"),
)

# The same fields as SQL/JSON paths.
CONTACT_JSON_PATHS = tuple(f"$.{field}[*]" for field in CONTACT_FIELDS)
