"""
How long a statement takes, or how much it reads, for each of the webhooks or tenants in question.

What takes long for one of them, as where dead rows have to be passed, is done apart from then on.
"""


def beginning(id_: str) -> str:
    """SQL: the time, and the id given; what is looked up by the latter is not begun before."""
    return f"SELECT clock_timestamp() AS at, {id_} AS id WHERE {id_} IS NOT NULL"


def seconds_since(at: str) -> str:
    """SQL: the seconds from then until the row is complete."""
    return f"extract(epoch FROM clock_timestamp() - {at})::float8"


# Heap pages of webhooks that this transaction has read. A count, unlike a time, tells no innocent
# tenant slow on a busy machine.
_PAGES = "pg_catalog.pg_stat_get_xact_blocks_fetched('webhooks'::regclass::oid)"


def counting(id_: str) -> str:
    """SQL: as `beginning`, with the number of pages of webhooks that were read before."""
    return f"SELECT {_PAGES} AS before, {id_} AS id WHERE {id_} IS NOT NULL"


def pages_since(before: str) -> str:
    """SQL: how many pages of webhooks were read from then until the row is complete."""
    return f"({_PAGES} - {before})"


def read_pages(counted: str) -> str:
    """SQL: columns with the tenants and the pages in the rows of this part of the statement."""
    return f"""
           ARRAY(SELECT {counted}.tenant_id FROM {counted}) AS read_tenants,
           ARRAY(SELECT {counted}.pages FROM {counted}) AS read_pages"""  # noqa: S608
