"""
The errors that callers may see: one tree, and each message is one sentence for a person.

What an endpoint does to us is a value, `core.model.attempts.Outcome`, and never an error.
"""


class WebhookdError(Exception):
    """
    The root of the tree; a command prints `str()` of it as one line and exits with 1.

    The message never contains a secret.
    """


class ListenError(WebhookdError):
    """Raised when the admin port cannot be opened; another process may free it."""


class ConfigError(WebhookdError):
    """
    Raised when the configuration is wrong, at start or reload; read by the operator.

    `mistakes` has one line for each mistake, so that all can be corrected at once.
    """

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class UsageError(WebhookdError):
    """Raised when a command's arguments are wrong; shown to the user who typed it. Exit code 2."""


class CopyError(WebhookdError):
    """Raised when a file cannot be written where the operator wants it."""


class DatabaseUnavailableError(WebhookdError):
    """
    Raised when PostgreSQL cannot be reached or refuses the connection; read by the operator.

    `transient` says whether waiting could help: the service retries only then.
    """

    def __init__(self, message: str, *, transient: bool = True) -> None:
        super().__init__(message)
        self.transient = transient


class DatabaseBusyError(DatabaseUnavailableError):
    """Another transaction holds what was needed; PostgreSQL itself is well. Try again."""


class FullDatabaseError(DatabaseUnavailableError):
    """PostgreSQL's disk is full: what needs no further page may still be stored. Try again."""


class ReadOnlyDatabaseError(DatabaseUnavailableError):
    """PostgreSQL is a standby, or read-only by a setting. It may be promoted: try again."""


class LockHeldError(DatabaseBusyError):
    """A lock was not to be had in time; names its holder for the operator."""


class StatementTimeoutError(DatabaseUnavailableError):
    """A statement took too long: PostgreSQL cancelled it, or did not answer in time."""


class StatementError(WebhookdError):
    """PostgreSQL refuses a statement or a value: trying the same again does not help."""


class ConstraintViolationError(StatementError):
    """A row would break a constraint, such as one that refers to a row that is gone."""


class LeaseLostError(StatementError):
    """A lease that a result needs is not ours any more; the others of its batch may still hold."""


# What one row may cause: a statement for many rows is tried again with fewer, so that others go on.
STATEMENT_FAILURES = (StatementError, StatementTimeoutError)
# Also a fault of ours, in working out what follows from a value that no row should have.
ROW_FAILURES = (
    *STATEMENT_FAILURES,
    *(ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError),
)


class SchemaError(WebhookdError):
    """Raised when the database's schema is not that of this version; read by the operator."""


class MigrationError(WebhookdError):
    """Raised when a migration fails; names its file and line for the operator."""


class EmbeddedPostgresError(WebhookdError):
    """Raised when the embedded PostgreSQL cannot start; shown to the user of the command."""


class UnusableFilterError(WebhookdError):
    """Raised when a replay is requested of a webhook with an unusable filter; read by its owner."""


class MailError(WebhookdError):
    """
    Raised when a mail server cannot be used or rejects a message; logged for the operator.

    `permanent` says that the rejection is permanent: another try would not help.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class PostponedError(WebhookdError):
    """
    Raised when an attempt cannot be made for a reason of our own, not the endpoint's.

    The attempt is given back uncounted, and its endpoint gets none for `pause_seconds`; longer if
    this happens again. The operator reads the message in the log; a caller of the API reads it in
    a 503.
    """

    pause_seconds = 2.0


class ShortageError(PostponedError):
    """Raised when this machine has no sockets, ports or memory left; the operator must act."""


class MemoryBusyError(PostponedError):
    """Raised when an attempt's large body must wait for others in flight: an ordinary wait."""

    pause_seconds = 0.2


class ThreadBusyError(PostponedError):
    """Raised when an attempt's large body has waited so long that its lease may have lapsed."""


class StalledError(PostponedError):
    """
    Raised when the process stood still during an attempt that has no response now.

    What is sent next is sent by a process that runs again: there is nothing to wait for.
    """

    pause_seconds = 0.0


class UnreadableSecretError(PostponedError):
    """
    Raised when a sealed secret cannot be opened: its key is missing, or the text was changed.

    The message tells the operator which; waiting does not help.
    """

    pause_seconds = 30.0


class SealMismatchError(UnreadableSecretError):
    """
    Raised when a sealed text does not open although its key is known.

    The text was changed, or it was sealed for another webhook, another use or another origin.
    """


class UnboundSecretError(UnreadableSecretError):
    """
    Raised when a secret that an earlier version sealed is not bound to its URL's origin yet.

    The resealing loop binds it within seconds.
    """

    pause_seconds = 2.0
