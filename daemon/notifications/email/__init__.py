"""
Letters: what the administrator reads of a notice, as plain text and as HTML; nothing here sends.

Names, URLs and errors are customers' and receivers' words: they are kept to one line and escaped.
"""

from daemon.notifications.email.render import EmailSettings, render_email

__all__ = ["EmailSettings", "render_email"]
