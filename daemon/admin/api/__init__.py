"""What every operation of the API has in common: routing, requests, auth, problems, OpenAPI."""
