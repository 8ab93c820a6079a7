"""
Attacks by one tenant, and what a healthy tenant notices of them: `python3 dev.py faults attacks`.

Every attack runs against a daemon process of its own, with real PostgreSQL and real receivers. The
limits are those of `docs/security.md`.
"""
