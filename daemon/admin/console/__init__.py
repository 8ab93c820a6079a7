"""The web console: pages for people over the operations of the API, and nothing beside them."""
