"""One guarded POST to a customer's URL, and what came of it."""
