"""Background upkeep of the tables: retention of rows, resealing of secrets, erasure on request."""
