"""Does a run's faults to its processes, and undoes them: `python -m loadproof.faults.keeper DESCRIPTOR`.

A process of its own, so that a run which is killed leaves nothing paused: it hears orders, a line of JSON each, on a
socket that closes with the run, and then ends everything that it has begun.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from pydantic import TypeAdapter

from loadproof.faults.proxy import Proxy
from loadproof.scenario.faults import NetworkFault

_NETWORK_FAULT: TypeAdapter[NetworkFault] = TypeAdapter(NetworkFault)


class Keeper:
    """What it was told to do, and has not been told to undo."""

    def __init__(self) -> None:
        self._proxies: dict[str, Proxy] = {}
        self._paused: set[int] = set()
        self._directories: list[str] = []

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Answer one order with what came of it."""
        match order:
            case {"do": "proxy", "of": str(of), "host": str(host), "port": int(port)}:
                proxy = self._proxies[of] = Proxy(host, port)
                return {"port": await proxy.listen()}
            case {"do": "begin", "of": str(of), "number": int(number), "fault": dict(fault)}:
                self._proxies[of].begin(number, _NETWORK_FAULT.validate_python(fault))
            case {"do": "end", "of": str(of), "number": int(number)}:
                self._proxies[of].end(number)
            case {"do": "look"}:
                pass
            case {"do": "adopt", "directory": str(directory)}:
                self._directories.append(directory)
            case {"do": "pause", "group": int(group)}:
                os.killpg(group, signal.SIGSTOP)
                self._paused.add(group)
            case {"do": "continue", "group": int(group)}:
                self._continue(group)
            case _:
                raise ValueError(f"no order: {order}")
        return {}

    def _continue(self, group: int) -> None:
        self._paused.discard(group)
        # It may have been killed while it was paused.
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGCONT)

    def undo(self) -> None:
        for group in tuple(self._paused):
            self._continue(group)
        for proxy in self._proxies.values():
            proxy.close()
        for directory in self._directories:
            shutil.rmtree(directory, ignore_errors=True)


async def keep(orders: socket.socket) -> None:
    """Obey until nobody is left who could give orders."""
    keeper = Keeper()
    reader, writer = await asyncio.open_connection(sock=orders)
    try:
        while line := await reader.readline():
            try:
                answer = await keeper.obey(json.loads(line))
            except (OSError, ValueError, LookupError) as error:
                answer = {"trouble": f"{type(error).__name__}: {error}"}
            writer.write(json.dumps(answer).encode() + b"\n")
    except ConnectionError:
        # The run was killed while it gave an order.
        pass
    finally:
        keeper.undo()


def main() -> None:
    # Ctrl-C in a terminal is the run's business; it tells us by closing the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(keep(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
