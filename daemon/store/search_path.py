"""
The schemas in which a session of ours looks names up, fixed at its start.

By PostgreSQL's default, a schema that is named like the role comes first: any role that may create
schemas could create that one while a daemon runs, and its tables, with triggers of their own, would
be taken for ours by the next statement. The rule: no schema is searched that did not exist when the
session began, nor one that has this role's name and an owner who is not trusted; and temporary
tables come last.
"""

from daemon.store.trusted_roles import TRUSTED

# Every name and type is exact: the path that is in force meanwhile is not ours.
FIND_PATH = f"""
    WITH {TRUSTED}
    SELECT coalesce((
               SELECT pg_catalog.string_agg(pg_catalog.quote_ident(s.name::text), ', '::text
                                            ORDER BY s.number) || ', '::text
                 FROM pg_catalog.unnest(pg_catalog.current_schemas(false))
                      WITH ORDINALITY AS s (name, number)
                 JOIN pg_catalog.pg_namespace AS n ON n.nspname = s.name
                WHERE n.nspname <> current_user OR n.nspowner IN (SELECT t.oid FROM trusted AS t)
           ), ''::text) || 'pg_temp'::text AS path
"""  # noqa: S608  made of constants only
# In one message: the second statement sees the effect of the first.
FIX_PATH = f"""
    RESET search_path;
    SELECT pg_catalog.set_config('search_path'::text, found.path, false) FROM ({FIND_PATH}) AS found
"""  # noqa: S608
