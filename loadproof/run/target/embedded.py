"""Runs the embedded target as a child process: starts it, waits until it is ready, and stops it at the end."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from loadproof.run.machine.shipped import DIRECTORY
from loadproof.run.processes.children import python, start, with_modules_in
from loadproof.run.servers.ownserver import OwnServer

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
"""Settings that only the scenario may set: values in our own environment were meant for something else."""


def deliberate_faults() -> str | None:
    """The faults that the environment tells the embedded target to inject; None if unset. Callers report them."""
    return os.environ.get(DELIBERATE_FAULTS) or None


def deliberate_mutant() -> str | None:
    """The planted bug that the environment tells the embedded target to have, by name; None if unset.

    Only the command line mentions it: the judge has to find it by itself.
    """
    return os.environ.get(_MUTANT) or None


class EmbeddedTarget(OwnServer):
    """The process of the reference API."""

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
        """Start on the port in the settings, or on a free one; call `wait_until_ready` next.

        `temporary` is a directory for the target's files, which the target removes if we are killed.
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
    """A directory for the target's ledger and other files; a killed target removes nothing, so it is removed here."""
    with tempfile.TemporaryDirectory(prefix="loadproof-target-", ignore_cleanup_errors=True) as directory:
        yield directory


@contextmanager
def embedded_target(
    settings: Mapping[str, str], *, temporary: str, cores: set[int], log: Path, stop_requested: Callable[[], bool]
) -> Iterator[EmbeddedTarget]:
    """The reference target on loopback, ready unless the wait for it was stopped; stopped at the end."""
    target = EmbeddedTarget(settings, temporary=temporary, cores=cores, log=log, stop_requested=stop_requested)
    try:
        target.wait_until_ready()
        yield target
    finally:
        target.stop()
