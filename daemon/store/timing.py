"""
How long a statement takes for each of the webhooks or tenants that it is about.

What takes long for one of them, as where dead rows have to be passed, is done apart from then on.
"""


def beginning(id_: str) -> str:
    """SQL: the time, and the id given; what is looked up by the latter is not begun before."""
    return f"SELECT clock_timestamp() AS at, {id_} AS id WHERE {id_} IS NOT NULL"


def seconds_since(at: str) -> str:
    """SQL: the seconds from then until the row is complete."""
    return f"extract(epoch FROM clock_timestamp() - {at})::float8"
