"""
The emails that the daemon sends, as plain text and HTML with the same content; nothing here sends.

Names, URLs and errors come from customers and receivers: each is reduced to one line and escaped,
and no mail program makes a link of a name.
"""

from daemon.notifications.email.confirmation import render_confirmation
from daemon.notifications.email.digest import render_digest
from daemon.notifications.email.message import EmailSettings
from daemon.notifications.email.render import render_email

__all__ = ["EmailSettings", "render_confirmation", "render_digest", "render_email"]
