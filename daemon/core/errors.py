"""
What callers can be told: one tree of errors, each of which is one clear sentence.

What an endpoint does to us is not here: that is a value, `model.Outcome`.
"""


class WebhookdError(Exception):
    """The root. `str()` is one sentence for a person; it never carries a secret."""


class ConfigError(WebhookdError):
    """The configuration is wrong. `mistakes` holds every one of them, a line each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class UsageError(WebhookdError):
    """The command was called in a way that cannot be meant."""


class DatabaseUnavailableError(WebhookdError):
    """PostgreSQL cannot be reached, or refuses us; `may_pass` says that waiting could help."""

    def __init__(self, message: str, *, may_pass: bool = True) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class StatementTimeoutError(DatabaseUnavailableError):
    """PostgreSQL cancelled a statement that ran longer than its `statement_timeout`."""


class SchemaError(WebhookdError):
    """The database's schema is not the one this program was made for."""


class MigrationError(WebhookdError):
    """A migration could not be applied; the message names its file and line."""


class EmbeddedPostgresError(WebhookdError):
    """The embedded PostgreSQL cannot be started here."""


class UnusableFilterError(WebhookdError):
    """A webhook's filter is not of a shape that we know, so that it wants nothing."""


class MailError(WebhookdError):
    """A mail server is unusable or refused an email; `permanent` says that a retry cannot help."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class PostponedError(WebhookdError):
    """
    An attempt cannot be made now for a reason that is ours; it is spent on nobody's account.

    `rest_seconds` is how long to leave its endpoint alone.
    """

    rest_seconds = 2.0


class UnreadableSecretError(PostponedError):
    """A sealed secret cannot be opened: somebody has to do something first."""

    rest_seconds = 30.0
