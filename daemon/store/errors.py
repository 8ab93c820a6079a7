"""
PostgreSQL's errors and the network's on the way to it, translated into ours in one place.

Everything above `store` catches `DatabaseUnavailableError` and its kin, and never asyncpg's types.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from daemon.core.errors import (
    ConstraintViolationError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    StatementError,
    StatementTimeoutError,
)

# The connection or the server's state says "not now".
UNAVAILABLE = (
    OSError,  # TimeoutError is one
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that dies in mid-message can raise it
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)

# Another transaction's lock stands in the way; the server is well.
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
        case error if isinstance(error, BUSY):
            return DatabaseBusyError(text)
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
    """Raise what the block raises, translated."""
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
    """The error for a database that refuses its first connection; `transient` if it may pass."""
    # Refused, starting up, too many clients: may pass. Wrong password, no such database: will not.
    passing = (OSError, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError)
    return DatabaseUnavailableError(
        f"the database cannot be used: {describe(error)}", transient=isinstance(error, passing)
    )


def describe(error: BaseException) -> str:
    """The error in one line, without the address's password."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()  # asyncio's own text speaks of system calls
    try:
        text = str(error).strip().splitlines()
    except IndexError:  # asyncpg's errors cannot be printed without a message
        text = []
    return text[0] if text else type(error).__name__
