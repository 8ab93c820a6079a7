"""
PostgreSQL as a child process: created on first use, private, and stopped when the daemon ends.

All its files are in one directory (see `data_dir`). Nothing outside of it changes, except for a
temporary directory for the Unix socket, whose path must be short.
"""

from daemon.embedded.running_instance import running_url
from daemon.embedded.server import EmbeddedPostgres, default_data_dir, start

__all__ = ["EmbeddedPostgres", "default_data_dir", "running_url", "start"]
