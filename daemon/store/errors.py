"""
Errors of PostgreSQL, and of the connection to it, translated into ours in one place.

Packages above `store` catch `DatabaseUnavailableError` and its relatives, never asyncpg's types.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from daemon.core.errors import (
    ConstraintViolationError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    FullDatabaseError,
    ReadOnlyDatabaseError,
    StatementError,
    StatementTimeoutError,
)
from daemon.store.tls_failures import describe_tls

# The connection is lost, or the state of the server allows no statement now.
UNAVAILABLE = (
    OSError,  # TimeoutError is one
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that dies in mid-message can raise it
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)

# None of the URL's hosts is what its target_session_attrs asks for.
NO_HOST_FITS = asyncpg.exceptions.TargetServerAttributeNotMatched
NONE_WRITABLE = "no host of database.url accepts writes until a standby is promoted"

# A lock of another transaction prevents the statement; the server is well.
BUSY = (
    asyncpg.TransactionRollbackError,  # deadlock, serialization failure
    asyncpg.ObjectInUseError,
    asyncpg.LockNotAvailableError,
)

# All that a command reports as a database that it cannot use, missing privileges included.
COMMAND_ERRORS = (
    *(OSError, asyncpg.PostgresError, asyncpg.InterfaceError),
    asyncpg.InternalClientError,
)


def translate(error: Exception) -> Exception:
    """
    Our error for an error of asyncpg or of the connection; any other error is returned as it is.

    The message is the server's first line, which quotes no row.
    """
    text = describe(error)
    match error:
        case asyncpg.QueryCanceledError():
            return StatementTimeoutError(text)
        case TimeoutError(errno=None):  # by the client's clock: what is read may not end
            return StatementTimeoutError(text)
        case asyncpg.ReadOnlySQLTransactionError():
            return ReadOnlyDatabaseError(f"the database is read-only: {text}")
        case NO_HOST_FITS():
            return ReadOnlyDatabaseError(NONE_WRITABLE)
        case error if isinstance(error, BUSY):
            return DatabaseBusyError(text)
        case asyncpg.DiskFullError():
            return FullDatabaseError(text)
        case error if isinstance(error, UNAVAILABLE):
            return DatabaseUnavailableError(text)
        case asyncpg.IntegrityConstraintViolationError():
            return ConstraintViolationError(text)
        case asyncpg.PostgresError():
            return StatementError(text)
        case _:
            return error


@contextmanager
def translated() -> Iterator[None]:
    """Translate the exceptions that the block raises, with `translate`."""
    try:
        yield
    except Exception as error:
        ours = translate(error)
        if ours is error:
            raise
        raise ours from error


@contextmanager
def connecting() -> Iterator[None]:
    """Raise DatabaseUnavailableError for whatever refuses a connection in the block."""
    try:
        yield
    except (asyncpg.ReadOnlySQLTransactionError, NO_HOST_FITS) as error:  # LISTEN is refused
        raise translate(error) from error
    except (*UNAVAILABLE, asyncpg.PostgresError) as error:  # no such database, or no such role
        raise DatabaseUnavailableError(describe(error)) from error


@contextmanager
def reported() -> Iterator[None]:
    """Raise DatabaseUnavailableError, one sentence, for any database error in a command's block."""
    try:
        yield
    except BrokenPipeError:  # from the command's own output
        raise
    except COMMAND_ERRORS as error:
        raise cannot_open(error) from error


def cannot_open(error: BaseException) -> DatabaseUnavailableError:
    """Return the error for a failed first connection; `transient` if a later one may succeed."""
    if isinstance(error, NO_HOST_FITS):
        return ReadOnlyDatabaseError(NONE_WRITABLE)
    # May pass: refused, starting up, too many clients. Will not: wrong password, no such database.
    transient = (OSError, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError)
    may_pass = isinstance(error, transient) and not isinstance(error, ssl.SSLCertVerificationError)
    return DatabaseUnavailableError(
        f"the database cannot be used: {describe(error)}", transient=may_pass
    )


def describe(error: BaseException) -> str:
    """Return the error in one line, without the password of the database's URL."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return describe_tls(error)
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()  # asyncio's own text speaks of system calls
    try:
        text = str(error).strip().splitlines()
    except IndexError:  # asyncpg's errors cannot be printed without a message
        text = []
    return text[0] if text else type(error).__name__
