"""New signing secrets."""

import secrets


def new_secret() -> str:
    """Return `whsec_` and 32 random bytes in hex, which is valid base64 too."""
    return f"whsec_{secrets.token_hex(32)}"
