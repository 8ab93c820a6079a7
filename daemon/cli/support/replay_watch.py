"""Watching a replay: a progress bar on a terminal, and hints while the replay does not move."""

import asyncio
from typing import TYPE_CHECKING

from daemon.core.errors import WebhookdError
from daemon.core.model.replays import Replay, ReplayStatus

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from daemon.core.model.ids import ReplayId
    from daemon.store.session import Connection

POLL_SECONDS = 0.2
# A daemon needs less to notice a new replay and to make its first attempts.
START_SECONDS = 5.0


async def watch_replay(db: "Connection", replay: Replay) -> Replay:
    """
    Show the progress of a replay until it ends, or until Ctrl-C; return its last known state.

    Raises WebhookdError when its webhook is deleted meanwhile.
    """
    from daemon.cli.support.signals import stop_on_signals
    from daemon.runtime.loop import sleep_until_woken

    stop, hints = asyncio.Event(), Hints()
    stop_on_signals(stop)
    with _progress_bar() as progress:
        task = progress.add_task("", total=replay.total)
        while replay.status is ReplayStatus.RUNNING and not stop.is_set():
            progress.update(task, completed=replay.sent, total=replay.total)
            hints.show(replay, progress.console)
            await sleep_until_woken(stop, POLL_SECONDS)
            replay = await _current_state(db, replay.id)
        progress.update(task, completed=replay.sent, total=replay.total)
    return replay


class Hints:
    """Reasons why a replay does not move, each shown once."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._should_have_begun_at = loop.time() + START_SECONDS
        self._shown: set[str] = set()

    def show(self, replay: Replay, console: "Console") -> None:
        """Print the reason that applies now, unless it was printed before."""
        hint = self._reason(replay)
        if hint is not None and hint not in self._shown:
            self._shown.add(hint)
            console.print(f"webhookd: {hint}", soft_wrap=True)

    def _reason(self, replay: Replay) -> str | None:
        if replay.paused:
            return "the webhook is paused: the replay waits until it is resumed"
        if not replay.begun and self._clock() > self._should_have_begun_at:
            return (
                "the replay has not begun yet: no daemon is running, or another replay of this"
                " webhook goes first"
            )
        return None


async def _current_state(db: "Connection", replay_id: "ReplayId") -> Replay:
    from daemon.store import replays

    replay = await replays.get(db, None, replay_id)
    if replay is None:
        raise WebhookdError("the webhook was deleted, and the replay with it")
    return replay


def _progress_bar() -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from daemon.cli.support.console import stderr_console

    console = stderr_console()
    columns = (BarColumn(bar_width=None), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)
