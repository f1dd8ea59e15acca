"""Starts the embedded target as a scenario's `settings:` describe it, with its lists and its Redis."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loadproof.plan.clients import ACCOUNTS_PER_CLIENT, highest_client_index
from loadproof.run.faults.faults import Faults
from loadproof.run.machine.ports import free_port
from loadproof.run.servers.sharedredis import shared_redis
from loadproof.run.target.embedded import embedded_target, targets_directory
from loadproof.run.target.referencecommands import reference_commands
from loadproof.rundir import files
from loadproof.scenario.faults import Backup, Kill, Restart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loadproof.run.target.embedded import EmbeddedTarget
    from loadproof.rundir.manifest import RedisFacts
    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.settings import Settings

_LISTS: Final = ("allow", "deny")
AUDITED: Final = {
    "payments": {"path": "/audit/payments/{account}"},
    "snapshot": {"path": "/audit/accounts"},
    "effects": {"path": "/audit/effects/{event}"},
}
"""Operations that show an auditor the whole ledger, as a target file describes them."""


def is_asked(scenario: Scenario) -> bool:
    """Whether an audit of the scenario needs to ask the target itself, beyond what the load shows."""
    return not {"ledger", "webhooks", "backup"}.isdisjoint(scenario.audits)


@dataclass(frozen=True)
class ReferenceTarget:
    """The running embedded target."""

    embedded: EmbeddedTarget | None
    """None if a stop was requested before there was a process."""
    redis: RedisFacts | None = None

    @property
    def base_url(self) -> str:
        """Empty if a stop was requested during the start."""
        return self.embedded.base_url if self.embedded else ""


@contextmanager
def reference_target(
    scenario: Scenario,
    *,
    secret: dict[str, str],
    cores: set[int],
    directory: Path,
    stop_requested: Callable[[], bool],
    faults: Faults | None = None,
) -> Iterator[ReferenceTarget]:
    """Start the embedded target with all it needs, and stop it at the end; logs and lists stay in `directory`."""
    faults = faults or Faults()
    with (
        shared_redis(scenario, cores=cores, log=directory / "redis.log", stop_requested=stop_requested) as redis,
        targets_directory() as temporary,
    ):
        faults.adopt(temporary)
        kept = _kept_ledger(scenario, temporary)
        if redis is None:
            yield ReferenceTarget(None)
            return
        seen = faults.in_front_of_redis(redis)
        settings = seen.environment | embedded_settings(scenario) | _lists(scenario.settings, directory) | secret | kept
        log = directory / "target.log"
        if faults.keeper is not None and "DATABASE" in kept:
            faults.commands = reference_commands(
                kept["DATABASE"],
                accounts=settings["ACCOUNTS"],
                secret=secret,
                keeper=faults.keeper,
                run=directory,
            )
        with embedded_target(
            settings, temporary=temporary, cores=cores, log=log, stop_requested=stop_requested
        ) as embedded:
            faults.servers["target"] = embedded
            # Only now are there facts about Redis: the target has refused addresses that it can't parse, in which a
            # password could be anywhere.
            yield ReferenceTarget(embedded, redis.facts if embedded.base_url else None)


def _kept_ledger(scenario: Scenario, directory: str) -> dict[str, str]:
    """A known ledger file and port, if faults restart the target or back it up; else nothing."""
    if not any(isinstance(fault, Kill | Restart | Backup) and fault.of == "target" for fault in scenario.faults):
        return {}
    return {"DATABASE": str(Path(directory) / "ledger.sqlite3"), "PORT": str(free_port())}


def embedded_settings(scenario: Scenario) -> dict[str, str]:
    """The scenario's `settings:` as environment variables, except lists and Redis, which have to be set up first."""
    settings = scenario.settings
    accounts = settings.accounts or ACCOUNTS_PER_CLIENT * (highest_client_index(scenario) + 1)
    return {
        "LIMITER": settings.limiter,
        "ACCOUNTS": str(accounts),
        "WORKERS": str(settings.processes),
        "BOTS": settings.bots,
        "AUDIT": "on" if is_asked(scenario) else "off",
        **{f"LIMIT_{name.upper()}": limit for name, limit in settings.limits.items()},
        **({} if settings.bottleneck is None else {"BOTTLENECK_MS": f"{1000 * settings.bottleneck:.3f}"}),
        **_penalties(settings),
        **({"REDIS_TIMEOUT": f"{settings.redis_timeout:.6f}"} if settings.redis_timeout else {}),
    }


def _penalties(settings: Settings) -> dict[str, str]:
    penalties = settings.penalties
    if penalties is None:
        return {}
    values = {"BASE": penalties.base, "FACTOR": penalties.factor, "CAP": penalties.cap, "MEMORY": penalties.memory}
    return {f"PENALTY_{name}": f"{value:.6f}" for name, value in values.items()}


def _lists(settings: Settings, directory: Path) -> dict[str, str]:
    """Write the lists to files, as the target reads them; OutputError if they can't be written."""
    written = {}
    for name in _LISTS:
        if networks := getattr(settings, name):
            file = (directory / f"{name}.txt").resolve()
            files.write_whole(file, "".join(f"{network}\n" for network in networks))
            written[f"{name.upper()}_FILE"] = str(file)
    return written
