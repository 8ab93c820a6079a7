"""The random token of a form: it tells a form that is sent twice from two forms that are alike."""

import secrets

FIELD = "once"
# Names the button that was pressed, of those that only change the form: such a request needs none.
EDIT = "do"


def new_form_token() -> str:
    """A token for one form of one page."""
    return secrets.token_urlsafe(16)
