"""
The emails that report notices, as plain text and HTML with the same content; nothing here sends.

Names, URLs and errors come from customers and receivers: each is reduced to one line and escaped.
"""

from daemon.notifications.email.render import EmailSettings, render_email

__all__ = ["EmailSettings", "render_email"]
