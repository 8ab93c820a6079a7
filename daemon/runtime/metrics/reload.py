"""Metrics of reloads of the configuration."""

import time

from daemon.runtime.metrics.registry import MetricsRegistry


class ReloadMetrics:
    """Whether the last reload was taken over, and when."""

    def __init__(self, registry: MetricsRegistry) -> None:
        self._successful = registry.gauge(
            "last_reload_successful",
            "0 if the last reload was refused because of mistakes, else 1.",
        )
        self._loaded_at = registry.gauge(
            "config_loaded_timestamp_seconds",
            "When a configuration was last taken over, at the start or by a reload.",
        )
        self._restart_needed = registry.gauge(
            "settings_waiting_for_restart",
            "Settings that differ in the file since the start, and are not reloaded.",
        )
        self.succeeded()

    def succeeded(self, *, waiting: int = 0) -> None:
        """Note that a configuration is in force, but for settings that wait for a restart."""
        self._successful.set(1)
        self._loaded_at.set(time.time())
        self._restart_needed.set(waiting)

    def refused(self) -> None:
        """Note that a configuration had mistakes, and changes nothing."""
        self._successful.set(0)
