"""
Everything that speaks SQL; nothing else does.

The connection is the first argument and the caller owns the transaction.
"""
