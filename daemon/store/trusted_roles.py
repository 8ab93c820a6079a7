"""The roles whose tables and code our sessions may use, as SQL."""

# Superusers, the database's owner, this role and those from which it inherits. (To pg_has_role, a
# superuser has every role.)
TRUSTED = """
    me AS MATERIALIZED (
        SELECT r.oid, r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user
    ), trusted AS MATERIALIZED (
        SELECT r.oid
          FROM pg_catalog.pg_roles AS r CROSS JOIN me
         WHERE r.rolsuper OR r.oid = me.oid
            OR NOT me.rolsuper AND pg_catalog.pg_has_role(r.oid, 'USAGE'::text)
            OR EXISTS (SELECT FROM pg_catalog.pg_database AS d
                        WHERE d.datdba = r.oid AND d.datname = pg_catalog.current_database())
    )"""
