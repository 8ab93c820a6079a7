"""SQL that finds the transactions and tenants of which a table has rows, however many rows."""


def places(table: str, *, most: str) -> str:
    """
    SQL: the places in each `range` of a table, up to `most` of one, as `key`.

    A loose scan: one probe of the index on (xid, tenant_id) for each transaction and tenant,
    however many rows it has.
    """
    return f"""
    key AS (
        SELECT range.number, range.last, found.xid, found.tenant_id, 1 AS count
          FROM range
         CROSS JOIN LATERAL (
                SELECT xid, tenant_id
                  FROM {table}
                 WHERE (xid, tenant_id) > (range.after_xid, range.after_tenant)
                   AND xid <= range.last
                 ORDER BY xid, tenant_id
                 LIMIT 1) AS found
        UNION ALL
        SELECT key.number, key.last, found.xid, found.tenant_id, key.count + 1
          FROM key
         CROSS JOIN LATERAL (
                SELECT xid, tenant_id
                  FROM {table}
                 WHERE (xid, tenant_id) > (key.xid, key.tenant_id) AND xid <= key.last
                 ORDER BY xid, tenant_id
                 LIMIT 1) AS found
         WHERE key.count < {most}
    )"""  # noqa: S608  made of constants only
