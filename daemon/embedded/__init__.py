"""
PostgreSQL as our own child process: made when missing, private, and gone when we are gone.

Everything of it lies in one folder, which `cluster` describes; nothing outside that folder is
changed, save a temporary one for the unix socket, whose path must be short.
"""

from daemon.embedded.neighbour import running
from daemon.embedded.server import EmbeddedPostgres, default_data_dir, start

__all__ = ["EmbeddedPostgres", "default_data_dir", "running", "start"]
