"""
Letters: what the administrator reads of a notice, as plain text and as HTML; nothing here sends.

Names, URLs and errors are customers' and receivers' words: they are kept to one line and escaped.
"""

from daemon.notifications.email.render import Letterhead, compose

__all__ = ["Letterhead", "compose"]
