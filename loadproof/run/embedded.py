"""The embedded target as a child process: started, awaited until it is ready, and stopped at the end."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from loadproof.run import readiness
from loadproof.run.children import python, start, stop, with_modules_in
from loadproof.run.shipped import DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

READY_PREFIX: Final = "payments_api: ready on "
_FAULTS: Final = "FAULTS"
_NOT_INHERITED: Final = frozenset(
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
    return os.environ.get(_FAULTS) or None


@contextmanager
def embedded_target(
    settings: Mapping[str, str], *, cores: set[int], log: Path, stop_requested: Callable[[], bool]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The reference target on a free loopback port, and its base URL; stopped at the end.

    The base URL is empty if the wait for it was stopped.
    """
    command = python("payments_api", "--port", "0", "--exit-with-parent")
    child = start(
        command,
        directory=log.parent,
        environment={**settings, **with_modules_in(DIRECTORY)},
        cores=cores,
        log=log,
        pipe_output=True,
        without=_NOT_INHERITED,
    )
    try:
        what = "embedded target"
        yield child, readiness.address(child, READY_PREFIX, what=what, log=log, stop_requested=stop_requested)
    finally:
        stop(child)
        if child.stdout is not None:
            child.stdout.close()
