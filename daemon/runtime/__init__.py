"""The process: loops, metrics, systemd, the thread pool, ids, version and packaged files."""
