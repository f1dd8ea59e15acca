"""The embedded target as a scenario's `settings:` describe it: its lists, its Redis, and the target itself."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadproof.plan.clients import ACCOUNTS_PER_CLIENT, highest_client_index
from loadproof.run.embedded import embedded_target
from loadproof.run.sharedredis import shared_redis
from loadproof.rundir import files

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from loadproof.rundir.manifest import RedisFacts
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.settings import Settings

_LISTS: Final = ("allow", "deny")
AUDITED: Final = {
    "payments": {"path": "/audit/payments/{account}"},
    "snapshot": {"path": "/audit/accounts"},
    "effects": {"path": "/audit/effects/{event}"},
}
"""Operations that show an auditor the whole ledger, in a target file's words."""


def is_asked(scenario: Scenario) -> bool:
    """An audit of the scenario needs more than the load sees: loadproof asks the target itself."""
    return not {"ledger", "webhooks"}.isdisjoint(scenario.audits)


@dataclass(frozen=True)
class ReferenceTarget:
    """The embedded target, while it runs."""

    process: subprocess.Popen[bytes] | None
    """None if the start was stopped before the process existed."""
    base_url: str
    """Empty if the start was stopped."""
    redis: RedisFacts | None


@contextmanager
def reference_target(
    scenario: Scenario,
    *,
    secret: dict[str, str],
    cores: set[int],
    directory: Path,
    stop_requested: Callable[[], bool],
) -> Iterator[ReferenceTarget]:
    """Started with everything it needs, and stopped at the end; logs and lists stay in `directory`."""
    with shared_redis(scenario, cores=cores, log=directory / "redis.log", stop_requested=stop_requested) as redis:
        if redis is None:
            yield ReferenceTarget(None, "", None)
            return
        settings = embedded_settings(scenario) | _lists(scenario.settings, directory) | redis.environment | secret
        log = directory / "target.log"
        with embedded_target(settings, cores=cores, log=log, stop_requested=stop_requested) as (process, base_url):
            # By now it has refused any address that it can't parse, which might contain a password anywhere.
            yield ReferenceTarget(process, base_url, redis.facts if base_url else None)


def embedded_settings(scenario: Scenario) -> dict[str, str]:
    """The scenario's `settings:` as the reference target's environment, except what has to be started or written."""
    settings = scenario.settings
    accounts = settings.accounts or ACCOUNTS_PER_CLIENT * (highest_client_index(scenario) + 1)
    return {
        "LIMITER": settings.limiter,
        "ACCOUNTS": str(accounts),
        "WORKERS": str(settings.processes),
        "BOTS": settings.bots,
        "AUDIT": "on" if is_asked(scenario) else "off",
        **{f"LIMIT_{name.upper()}": limit for name, limit in settings.limits.items()},
        **_penalties(settings),
    }


def _penalties(settings: Settings) -> dict[str, str]:
    penalties = settings.penalties
    if penalties is None:
        return {}
    values = {"BASE": penalties.base, "FACTOR": penalties.factor, "CAP": penalties.cap, "MEMORY": penalties.memory}
    return {f"PENALTY_{name}": f"{value:.6f}" for name, value in values.items()}


def _lists(settings: Settings, directory: Path) -> dict[str, str]:
    """The lists as files, which is how the target reads them; OutputError if they can't be written."""
    written = {}
    for name in _LISTS:
        if networks := getattr(settings, name):
            file = (directory / f"{name}.txt").resolve()
            files.write_whole(file, "".join(f"{network}\n" for network in networks))
            written[f"{name.upper()}_FILE"] = str(file)
    return written
