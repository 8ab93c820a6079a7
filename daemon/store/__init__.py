"""
Everything that speaks SQL; nothing else does.

The connection is the first argument and the caller owns the transaction.

Functions and operators are called with exactly the types that they are declared for, or by the name
of pg_catalog: PostgreSQL prefers a better match in any schema, also one that another role created.
So a VARCHAR column is compared as `column::text`, a parameter in a sum is cast, and polymorphic
functions (unnest, cardinality, count of something) are qualified.
"""
