"""The embedded target as a child process: started, awaited until it is ready, and stopped at the end."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from loadproof.run.children import python, start, with_modules_in
from loadproof.run.ownserver import OwnServer
from loadproof.run.shipped import DIRECTORY

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

READY_PREFIX: Final = "payments_api: ready on "
DELIBERATE_FAULTS: Final = "FAULTS"
_MUTANT: Final = "TARGET_MUTANT"
NOT_INHERITED: Final = frozenset(
    {
        *("HOST", "PORT", "DATABASE", "ACCOUNTS", "LIMITER", "WORKERS"),
        *("LIMIT_HEALTH", "LIMIT_BALANCE", "LIMIT_TRANSACTIONS", "LIMIT_WEBHOOKS", "LIMIT_OTHER", "MOST_CLIENTS"),
        *("PENALTY_BASE", "PENALTY_FACTOR", "PENALTY_CAP", "PENALTY_MEMORY"),
        *("REDIS_URL", "REDIS_TIMEOUT", "BOTS", "BOTS_FILE", "ALLOW_FILE", "DENY_FILE"),
        *("AUDIT", "BOTTLENECK_MS", "TELEGRAM_SECRET", "CLIENT_HEADER", "TRUSTED_NETWORKS", "METRICS"),
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


def deliberate_mutant() -> str | None:
    """The promise that the environment tells the embedded target to break, by the name of a fault.

    Only whoever starts it reports it: what judges has to find out.
    """
    return os.environ.get(_MUTANT) or None


class EmbeddedTarget(OwnServer):
    """The reference target's process."""

    what = "embedded target"
    ready_prefix = READY_PREFIX

    def __init__(
        self,
        settings: Mapping[str, str],
        *,
        temporary: str,
        cores: set[int],
        log: Path,
        stop_requested: Callable[[], bool],
    ) -> None:
        """Started, on the port of the settings or on a free one; `wait_until_ready` has to follow.

        `temporary` is a directory for its files, which it removes if we are killed.
        """
        self._settings = settings
        self._temporary = temporary
        super().__init__(cores=cores, log=log, stop_requested=stop_requested, port=settings.get("PORT", "0"))

    def _start(self, port: str) -> subprocess.Popen[bytes]:
        ours = ["--exit-with-parent", str(os.getpid()), "--directory", self._temporary]
        return start(
            python("payments_api", "--port", port, *ours),
            directory=self._log.parent,
            environment={**self._settings, **with_modules_in(DIRECTORY)},
            cores=self._cores,
            log=self._log,
            pipe_output=True,
            without=NOT_INHERITED,
        )


@contextmanager
def targets_directory() -> Iterator[str]:
    """For its ledger and whatever else it keeps while it runs: a target that is killed removes nothing."""
    with tempfile.TemporaryDirectory(prefix="loadproof-target-", ignore_cleanup_errors=True) as directory:
        yield directory


@contextmanager
def embedded_target(
    settings: Mapping[str, str], *, temporary: str, cores: set[int], log: Path, stop_requested: Callable[[], bool]
) -> Iterator[EmbeddedTarget]:
    """The reference target on loopback, ready unless the wait for it was stopped; gone at the end."""
    target = EmbeddedTarget(settings, temporary=temporary, cores=cores, log=log, stop_requested=stop_requested)
    try:
        target.wait_until_ready()
        yield target
    finally:
        target.stop()
