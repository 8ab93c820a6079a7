"""Where an event's data names a contact."""

# Where data names a contact, by id or by e-mail address. Arrays on the way are looked into: `to`
# may be one address or many, `contacts` ids or objects.
CONTACT_PLACES = (
    *("contact_id", "contactId", "contact_ids", "contactIds"),
    *("contact", "contact.id", "contact.contact_id", "contact.contactId", "contact.email"),
    *("contacts", "contacts.id", "contacts.contact_id", "contacts.contactId", "contacts.email"),
    *("contact_email", "contactEmail", "email", "email_address", "emailAddress"),
    *("recipient", "recipient.id", "recipient.email", "recipient_email", "recipientEmail"),
    *("recipients", "recipients.id", "recipients.email"),
    *("to", "to.email", "to.address", "cc", "cc.email", "cc.address"),
)


PATHS = tuple(f"$.{place}[*]" for place in CONTACT_PLACES)
