"""What PostgreSQL's catalog says of a database, to be compared with another one's."""

import asyncpg

CATALOG = """
    SELECT c.relname AS of_table, 'column ' || a.attname AS name,
           concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull,
                     pg_get_expr(d.adbin, d.adrelid)) AS definition
      FROM pg_attribute AS a
      JOIN pg_class AS c ON c.oid = a.attrelid
      LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
       AND a.attnum > 0 AND NOT a.attisdropped
     UNION ALL
    SELECT conrelid::regclass::text, 'constraint ' || conname,
           pg_get_constraintdef(oid) || ' ' || convalidated
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
     UNION ALL
    SELECT i.indrelid::regclass::text, 'index ' || i.indexrelid::regclass,
           pg_get_indexdef(i.indexrelid) || i.indisvalid
      FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
     WHERE c.relnamespace = 'public'::regnamespace
     UNION ALL
    SELECT t.tgrelid::regclass::text, 'trigger ' || tgname,
           pg_get_triggerdef(t.oid) || tgenabled::text
      FROM pg_trigger AS t WHERE NOT tgisinternal
     UNION ALL
    SELECT relname, 'options', relkind::text || coalesce(reloptions::text, '')
      FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
     UNION ALL
    SELECT 'functions', p.oid::regprocedure::text,
           md5(pg_get_functiondef(p.oid)) || coalesce(p.proacl::text, '')
      FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace
"""


async def catalog(url: str) -> set[tuple[str, ...]]:
    """Every column, constraint, index, trigger, function and option, save those of `tenants`."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(CATALOG)
    await connection.close()
    return {tuple(row) for row in rows if row["of_table"] != "tenants"}
