"""Tries the supported versions of PostgreSQL and Python that can be had on this machine."""
