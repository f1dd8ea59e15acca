"""Builds all parts of the protection from the options and keeps them running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from payments_api.protection.answers.ratelimitheaders import policy_header
from payments_api.protection.answers.refusals import Refusal
from payments_api.protection.client import Clients
from payments_api.protection.limits import Limits
from payments_api.protection.lists.bots import BotRules, parse_rules
from payments_api.protection.lists.networks import Address, NetworkSet, parse_allowed, parse_networks
from payments_api.protection.lists.reloading import ReloadedFile, Watcher
from payments_api.protection.metrics import ProtectionMetrics
from payments_api.protection.optionchecks import check_options
from payments_api.protection.options import Options, bots_file
from payments_api.protection.paths import Places
from payments_api.protection.reporting import OnProblem, Reporter
from payments_api.protection.stores.eviction import EvictionWatch
from payments_api.protection.stores.fallback import FallbackStore, SharedStore
from payments_api.protection.stores.stores import LocalStore, Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Scope

_USER_AGENT = b"user-agent"
_log = logging.getLogger(__name__)


def log_problem(name: str, detail: str) -> None:
    """The default `on_problem`: log only. An application that passes another one has to log problems itself."""
    _log.warning("%s: %s", name, detail)


class Protection:
    """Makes the decisions for `ProtectionMiddleware`; ValueError if a list can't be read or an option is invalid."""

    def __init__(
        self, options: Options, *, metrics: ProtectionMetrics | None = None, on_problem: OnProblem = log_problem
    ) -> None:
        check_options(options)
        self._options = options
        self._metrics = metrics or ProtectionMetrics()
        self._on_problem = Reporter(on_problem)
        self.clients = Clients(options.client_header, options.trusted_networks)
        self.repeated = self._metrics.repeated
        self.places = Places(options.limits, monitoring=options.monitoring, prefix=options.prefix)
        self._deny = self._networks("deny", options.deny_file, parse_networks)
        self._allow = self._networks("allow", options.allow_file, parse_allowed)
        self._bots: ReloadedFile[BotRules] | None = None
        if options.bots != "off":
            self._bots = self._file("bots", bots_file(options), parse_rules)
        self._watcher = Watcher([file for file in (self._deny, self._allow, self._bots) if file is not None])
        self._fallback: FallbackStore | None = None
        self._eviction: EvictionWatch | None = None
        self.limits = self._limits() if options.limiter != "off" else None
        self.policies = {name: policy_header(name, limit) for name, limit in options.limits.items()}
        self.denied = Refusal(403, "address-denied", "This address is not served.")
        self.hidden = Refusal(404, "not-found", "Not Found")
        self.bot = Refusal(403, "bot-denied", "Clients with this User-Agent are not served.")
        self.penalised = Refusal(429, "penalty", "Limits were exceeded repeatedly; Retry-After says until when.")
        self.throttled = {
            name: Refusal(429, "too-many-requests", f"More than {limit} of {name}.")
            for name, limit in options.limits.items()
        }

    def is_denied(self, address: Address | None) -> bool:
        if self._deny is None or address is None or address not in self._deny.value:
            return False
        self._metrics.denied.inc()
        return True

    def is_hidden(self, path: str, scope: Scope) -> bool:
        """Whether it is a private path requested through the proxy; the header needn't be from a trusted one."""
        if path not in self._options.private or not self.clients.has_header(scope):
            return False
        self._metrics.hidden.inc()
        return True

    def is_allowed(self, address: Address | None) -> bool:
        if self._allow is None or address is None or address not in self._allow.value:
            return False
        self._metrics.allowed.inc()
        return True

    def is_bot(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        if self._bots is None:
            return False
        user_agent = next((value for name, value in headers if name == _USER_AGENT), None)
        if not self._bots.value.refuses(user_agent, is_strict=self._options.bots == "strict"):
            return False
        self._metrics.bots.inc()
        return True

    def reload(self) -> None:
        """Read all lists again soon; safe in a signal handler."""
        self._watcher.reload()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Try Redis and watch the lists while the application runs; close connections at the end."""
        self._watcher.start()
        watching: asyncio.Task[None] | None = None
        try:
            if self._fallback is not None:
                await self._fallback.try_out()
            if self._eviction is not None:
                watching = asyncio.create_task(self._eviction.watch())
            yield
        finally:
            self._watcher.stop()
            if watching is not None:
                watching.cancel()
            if self._fallback is not None:
                await self._fallback.aclose()
            await asyncio.to_thread(self._on_problem.stop)

    def _networks(self, name: str, path: str, parse: Callable[[str], NetworkSet]) -> ReloadedFile[NetworkSet] | None:
        return self._file(name, Path(path), parse) if path else None

    def _file(self, name: str, path: Path, parse: Callable[[str], Any]) -> ReloadedFile[Any]:
        entries, failures = self._metrics.entries.labels(name), self._metrics.list_failures.labels(name)

        def parse_and_count(text: str) -> Any:
            value = parse(text)
            entries.set(len(value))
            return value

        def count_and_report(incident: str, detail: str) -> None:
            # The end of an incident is reported too, but is not a failure.
            if not incident.endswith("-recovered"):
                failures.inc()
            self._on_problem(incident, detail)

        return ReloadedFile(path, parse_and_count, name=name, on_problem=count_and_report)

    def _limits(self) -> Limits:
        options = self._options
        self._metrics.prepare(options.limits)
        return Limits(
            self._store(options),
            has_penalties=options.penalty is not None,
            most_clients=options.most_clients,
            metrics=self._metrics,
        )

    def _store(self, options: Options) -> Store:
        local = LocalStore(
            options.limits, options.penalty, most_clients=options.most_clients, on_change=self._metrics.remembers
        )
        self._metrics.uses_store(options.limiter)
        if options.limiter == "local":
            return local
        shared = self._shared_store(options, local)
        if not options.redis_url:
            return shared
        self._eviction = EvictionWatch(shared.info, metrics=self._metrics, on_problem=self._on_problem)
        self._fallback = FallbackStore(
            shared,
            local,
            timeout_s=options.redis_timeout_s,
            metrics=self._metrics,
            on_problem=self._on_problem,
            name=options.limiter,
        )
        return self._fallback

    def _shared_store(self, options: Options, local: LocalStore) -> SharedStore:
        # Imported here because each library is only needed if its store is used.
        if options.limiter == "slowapi":
            from payments_api.protection.stores.slowapistore import SlowapiStore

            return SlowapiStore(options, local.penalties)
        from payments_api.protection.stores.redisstore import RedisStore

        return RedisStore(options.limits, options.penalty, options.redis_url, options.redis_timeout_s)
