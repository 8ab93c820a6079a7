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


def read_took(measured: str) -> str:
    """SQL: columns with the tenants and the seconds in the rows of this part of the statement."""
    return f"""
           ARRAY(SELECT {measured}.tenant_id FROM {measured}) AS took_tenants,
           ARRAY(SELECT {measured}.seconds FROM {measured}) AS took_seconds"""  # noqa: S608
