"""The process and its loops: turns, metrics, systemd, version, files of the package."""
