"""
A webhook's row found by its id, however many versions of it there are.

While a transaction that stays open keeps vacuum from removing them, each former version of a row is
read by whoever looks for the present one. Entries of one key are in the order of their places, and
new versions are mostly placed behind all others: backwards, the present one is found first.
"""


def webhook(id_: str) -> str:
    """SQL: the webhook with this id, which comes from another table."""
    # A range: for an equation, the planner drops the order. LIMIT: a plan that was made while there
    # were no webhooks might read all that are active.
    return f"""
            SELECT * FROM webhooks
             WHERE id >= {id_} AND id <= {id_}
             ORDER BY id DESC
             LIMIT 1"""  # noqa: S608  made of constants only
