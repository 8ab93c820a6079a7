"""Templates of the pages beside the console, whose only style is a block that the policy names."""

from base64 import b64encode
from hashlib import sha256

from jinja2 import Environment, PackageLoader, StrictUndefined

TEMPLATES = Environment(
    loader=PackageLoader("daemon.admin"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def style_source(style: str) -> str:
    """The directive of a Content-Security-Policy that allows this style block and no other."""
    return f"style-src 'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'"
