"""Messages of exceptions, without the rows and values that PostgreSQL and asyncpg quote."""

import re

# asyncpg quotes the value after this.
_ARGUMENT = re.compile(r"(invalid input for query argument \$\d+).*", re.DOTALL)


def error_message(error: BaseException) -> str:
    """
    Return the error's message; of asyncpg's errors only the first line, state and constraint.

    They are recognised by their module: knowing their types would mean importing asyncpg.
    """
    if not type(error).__module__.startswith("asyncpg"):
        return str(error)
    message = str(error.args[0]).partition("\n")[0] if error.args else ""
    known = {name: getattr(error, name, None) for name in ("sqlstate", "constraint_name")}
    details = ", ".join(f"{name} {value}" for name, value in known.items() if value)
    return _ARGUMENT.sub(r"\1", message) + (f" ({details})" if details else "")
