"""The run's side of the process that injects faults: sends it one order at a time and reads the answer."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from loadproof.run.processes import children

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loadproof.faults.command import CommandOrder
    from loadproof.scenario.faults import NetworkFault

_PATIENCE_S: Final = 5.0


class FaultError(Exception):
    """A fault could not be injected or undone; the text says why."""


class KeeperClient:
    """Sends orders to the process, which undoes everything by itself when this end of the socket closes.

    An order that fails, or a process that is gone, is a FaultError.
    """

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._answers = orders.makefile("rb")
        self._lock = threading.Lock()

    def proxy(self, of: str, host: str, port: int) -> int:
        """Put a proxy in front of this server; returns its port on 127.0.0.1."""
        answered: int = self._order({"do": "proxy", "of": of, "host": host, "port": port})["port"]
        return answered

    def begin(self, of: str, number: int, fault: NetworkFault) -> None:
        self._order({"do": "begin", "of": of, "number": number, "fault": fault.model_dump(mode="json")})

    def end(self, of: str, number: int) -> None:
        self._order({"do": "end", "of": of, "number": number})

    def look(self) -> None:
        """FaultError if the process is gone, and its proxies with it."""
        self._order({"do": "look"})

    def adopt(self, directory: str) -> None:
        """Have this directory removed at the end, even if this process is killed."""
        self._order({"do": "adopt", "directory": directory})

    def pause(self, group: int) -> None:
        """Stop all processes of this group until `resume`."""
        self._order({"do": "pause", "group": group})

    def resume(self, group: int) -> None:
        self._order({"do": "continue", "group": group})

    def directory(self, prefix: str) -> str:
        """A new directory for temporary files, which the process removes when it ends."""
        path: str = self._order({"do": "directory", "prefix": prefix})["directory"]
        return path

    def run(self, number: int, order: CommandOrder, undo: CommandOrder | None = None, undoes: int | None = None) -> int:
        """Start a command under a unique number; returns its process group.

        If we are killed before `forgive`, and before a command that `undoes` this one was started, `undo` is run.
        """
        content = {"order": asdict(order), "undo": undo and asdict(undo), "undoes": undoes}
        group: int = self._order({"command": "run", "number": number, **content})["group"]
        return group

    def ended(self, number: int) -> dict[str, Any] | None:
        """How a command ended; None while it runs."""
        ended: dict[str, Any] | None = self._order({"command": "ask", "number": number})["ended"]
        return ended

    def stop(self, number: int) -> None:
        self._order({"command": "stop", "number": number})

    def forgive(self, number: int) -> None:
        self._order({"command": "forgive", "number": number})

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        try:
            with self._lock:
                self._orders.sendall(json.dumps(order).encode() + b"\n")
                line = self._answers.readline()
        except OSError as error:
            raise FaultError(f"the process that injects faults doesn't respond: {error}") from None
        if not line.endswith(b"\n"):
            # The process was killed, perhaps while answering.
            raise FaultError("the process that injects faults is gone")
        answer: dict[str, Any] = json.loads(line)
        if "trouble" in answer:
            raise FaultError(answer["trouble"])
        return answer

    def close(self) -> None:
        """Close the socket, which makes the process undo everything and end."""
        self._answers.close()
        self._orders.close()


@contextmanager
def fault_keeper(directory: Path, *, cores: set[int]) -> Iterator[KeeperClient]:
    """Run the process that injects faults; at the end, or if we are killed, it undoes them all and ends."""
    ours, theirs = socket.socketpair()
    ours.settimeout(_PATIENCE_S)
    keeper = KeeperClient(ours)
    with closing(keeper):
        with theirs:
            child = children.start(
                children.python("loadproof.faults.keeper", str(theirs.fileno())),
                directory=directory,
                environment={},
                cores=cores,
                log=directory / "faults.log",
                pass_fds=[theirs.fileno()],
            )
        try:
            yield keeper
        finally:
            keeper.close()
            with suppress(subprocess.TimeoutExpired):
                child.wait(_PATIENCE_S)
            children.stop(child)
