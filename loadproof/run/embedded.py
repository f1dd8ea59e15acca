"""The embedded target as a child process: started, awaited until it is ready, and stopped at the end."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from loadproof.run import readiness
from loadproof.run.children import python, start, stop, with_modules_in
from loadproof.run.shipped import DIRECTORY

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

READY_PREFIX: Final = "payments_api: ready on "
DELIBERATE_FAULTS: Final = "FAULTS"
NOT_INHERITED: Final = frozenset(
    {
        *("HOST", "PORT", "DATABASE", "ACCOUNTS", "LIMITER", "WORKERS"),
        *("LIMIT_HEALTH", "LIMIT_BALANCE", "LIMIT_TRANSACTIONS", "LIMIT_WEBHOOKS", "LIMIT_OTHER", "MOST_CLIENTS"),
        *("PENALTY_BASE", "PENALTY_FACTOR", "PENALTY_CAP", "PENALTY_MEMORY"),
        *("REDIS_URL", "REDIS_TIMEOUT", "BOTS", "BOTS_FILE", "ALLOW_FILE", "DENY_FILE"),
        *("AUDIT", "TELEGRAM_SECRET", "CLIENT_HEADER", "TRUSTED_NETWORKS", "METRICS"),
        *("BACKUP_TO", "BACKUP_AT", "BACKUP_KEEP_DAYS", "BACKUP_KEEP_WEEKS", "BACKUP_KEEP_MONTHS"),
        *("BACKUP_TIMEOUT_S", "BACKUP_REQUEST_TIMEOUT_S"),
        *("SENTRY_DSN", "SENTRY_ENVIRONMENT", "SENTRY_RELEASE"),
        *("TELEGRAM_ALERT_TOKEN", "TELEGRAM_ALERT_CHAT", "TELEGRAM_API_URL"),
        *("ALERT_ERROR_RATIO", "ALERT_WINDOW", "ALERT_DISK_FREE", "ALERT_STALL"),
    }
)
"""Settings that only the scenario decides, or nothing.

Whatever our environment contains was meant for something else.
"""


def deliberate_faults() -> str | None:
    """The faults that the environment tells the embedded target to inject; whoever starts it reports them."""
    return os.environ.get(DELIBERATE_FAULTS) or None


class EmbeddedTarget:
    """The reference target's process; it can be taken down on purpose, and brought back on the same port."""

    def __init__(
        self, settings: Mapping[str, str], *, cores: set[int], log: Path, stop_requested: Callable[[], bool]
    ) -> None:
        """Started, on the port of the settings or on a free one; `wait_until_ready` has to follow."""
        self._settings = settings
        self._cores = cores
        self._log = log
        self._stop_requested = stop_requested
        self._is_down = False
        self.base_url = ""
        """Empty until it is ready."""
        self.process = self._start(settings.get("PORT", "0"))

    def wait_until_ready(self) -> None:
        """Or until the wait is stopped; TargetError if it doesn't get ready."""
        self.base_url = readiness.address(
            self.process, READY_PREFIX, what="embedded target", log=self._log, stop_requested=self._stop_requested
        )

    def poll(self) -> int | None:
        """Its exit code if it has ended by itself; None while it runs, or is down on purpose."""
        return None if self._is_down else self.process.poll()

    @property
    def returncode(self) -> int | None:
        return self.process.returncode

    def take_down(self, *, politely: bool) -> None:
        """Until `bring_up`: stopped in an orderly way, or killed with all of its processes."""
        self._is_down = True
        if politely:
            stop(self.process)
        else:
            # It leads a process group of its own.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._close_output()

    def bring_up(self) -> None:
        """TargetError if it doesn't get ready."""
        self.process = self._start(str(urlsplit(self.base_url).port))
        self.wait_until_ready()
        self._is_down = False

    def stop(self) -> None:
        stop(self.process)
        self._close_output()

    def _start(self, port: str) -> subprocess.Popen[bytes]:
        return start(
            python("payments_api", "--port", port, "--exit-with-parent"),
            directory=self._log.parent,
            environment={**self._settings, **with_modules_in(DIRECTORY)},
            cores=self._cores,
            log=self._log,
            pipe_output=True,
            without=NOT_INHERITED,
        )

    def _close_output(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def embedded_target(
    settings: Mapping[str, str], *, cores: set[int], log: Path, stop_requested: Callable[[], bool]
) -> Iterator[EmbeddedTarget]:
    """The reference target on loopback, ready unless the wait for it was stopped; gone at the end."""
    target = EmbeddedTarget(settings, cores=cores, log=log, stop_requested=stop_requested)
    try:
        target.wait_until_ready()
        yield target
    finally:
        target.stop()
