"""A server that a run starts; faults can take it down and bring it back at the same address."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from loadproof.run.processes import children
from loadproof.run.servers import readiness

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path


class OwnServer:
    """A child process that leads its own process group and prints its address once it is ready."""

    what: ClassVar[str]
    """Its name in errors."""
    ready_prefix: ClassVar[str]
    """Start of the line with its address."""

    def __init__(self, *, cores: set[int], log: Path, stop_requested: Callable[[], bool], port: str = "0") -> None:
        """Start the server on this port, or on a free one ("0"); call `wait_until_ready` next."""
        self._cores = cores
        self._log = log
        self._stop_requested = stop_requested
        self._is_down = False
        self.base_url = ""
        """Empty until the server is ready."""
        self.process = self._start(port)

    def _start(self, port: str) -> subprocess.Popen[bytes]:
        """Start the process with a pipe for its output."""
        raise NotImplementedError

    def _end(self, *, politely: bool) -> None:
        """End the server with all of its processes."""
        if politely:
            children.stop(self.process)
        else:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def wait_until_ready(self) -> None:
        """Wait until the server is ready or a stop is requested; TargetError if it doesn't become ready."""
        self.base_url = readiness.address(
            self.process, self.ready_prefix, what=self.what, log=self._log, stop_requested=self._stop_requested
        )

    def poll(self) -> int | None:
        """The exit code if the server ended by itself; None while it runs or is down on purpose."""
        return None if self._is_down else self.process.poll()

    @property
    def returncode(self) -> int | None:
        return self.process.returncode

    def take_down(self, *, politely: bool) -> None:
        """Stop the server politely or kill it; it stays down until `bring_up`."""
        self._is_down = True
        self._end(politely=politely)
        self._close_output()

    def bring_up(self) -> None:
        """Start the server again on the same port; TargetError if it doesn't become ready."""
        self.process = self._start(str(urlsplit(self.base_url).port))
        self.wait_until_ready()
        self._is_down = False

    def stop(self) -> None:
        children.stop(self.process)
        self._close_output()

    def _close_output(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
