"""The parts that all API operations share: declaration, routing, requests, auth, problems."""
