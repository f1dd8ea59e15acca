"""Kent, a small Sentry, as a process on a free loopback port, and the errors that it received."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from loadproof.run.machine.ports import free_port

_LONGEST_START_S: Final = 30.0


class SentryServer:
    """A server that is ready, and its received events."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self.dsn = f"http://public@127.0.0.1:{port}/1"

    def errors(self) -> list[dict[str, Any]]:
        """Events with an exception, oldest first."""
        ids = [event["event_id"] for event in self._get("/api/eventlist/")["events"]]
        bodies = [self._get(f"/api/event/{each}")["payload"]["body"] for each in ids]
        return [body for body in bodies if isinstance(body, dict) and "exception" in body]

    def wait_for(self, is_so: Callable[[list[dict[str, Any]]], bool], *, within_s: float = 10.0) -> bool:
        """Whether the errors satisfied this within the time."""
        until_s = time.monotonic() + within_s
        while not is_so(self.errors()):
            if time.monotonic() > until_s:
                return False
            time.sleep(0.1)
        return True

    def answers(self) -> bool:
        try:
            self._get("/api/eventlist/")
        except OSError:
            return False
        return True

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self._url}{path}", timeout=10) as answer:  # noqa: S310 - our own, on loopback
            return json.load(answer)


@contextmanager
def sentry_server() -> Iterator[SentryServer]:
    """Run a server until the end."""
    port = free_port()
    code = "import sys; from kent.cli_server import main; sys.argv[0] = 'kent-server'; main()"
    command = [sys.executable, "-c", code, "run", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            server = SentryServer(port)
            until_s = time.monotonic() + _LONGEST_START_S
            while not server.answers():
                if time.monotonic() > until_s or process.poll() is not None:
                    raise SystemExit("kent did not get ready; is it installed (the dev dependencies)?")
                time.sleep(0.1)
            yield server
        finally:
            process.terminate()
