"""Injects a run's faults, and undoes them: `python -m loadproof.faults.keeper DESCRIPTOR`.

A separate process, so that a run that is killed leaves nothing paused and no command running: it reads orders, one line
of JSON each, from a socket that closes with the run, and then undoes everything it has begun. If it is killed as well,
the guard does so.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import ExitStack, suppress
from typing import Any, Final

from pydantic import TypeAdapter

from loadproof.faults.command import CommandOrder, RunningCommand
from loadproof.faults.guard import Guard
from loadproof.faults.proxy import FaultProxy
from loadproof.scenario.faults import NetworkFault

_LONGEST_ORDER_BYTES: Final = 16 << 20
"""An order contains arguments and an environment, which may be several megabytes on Linux."""
_NETWORK_FAULT: TypeAdapter[NetworkFault] = TypeAdapter(NetworkFault)


class Keeper:
    """Carries out orders, and keeps track of what has to be undone."""

    def __init__(self) -> None:
        self._proxies: dict[str, FaultProxy] = {}
        self._paused: set[int] = set()
        self._commands: dict[int, RunningCommand] = {}
        self._owed: dict[int, CommandOrder] = {}
        """By the number of a command: the order that undoes it."""
        self._undoing: set[RunningCommand] = set()
        self._directories = ExitStack()
        self._guard = Guard()

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one order, and return the answer to it; ValueError if there is no such order."""
        match order:
            case {"do": "proxy", "of": str(of), "host": str(host), "port": int(port)}:
                proxy = self._proxies[of] = FaultProxy(host, port)
                return {"port": await proxy.listen()}
            case {"do": "begin", "of": str(of), "number": int(number), "fault": dict(fault)}:
                self._proxies[of].begin(number, _NETWORK_FAULT.validate_python(fault))
            case {"do": "end", "of": str(of), "number": int(number)}:
                self._proxies[of].end(number)
            case {"do": "look"}:
                pass
            case {"do": "adopt", "directory": str(directory)}:
                self._directories.callback(shutil.rmtree, directory, ignore_errors=True)
                self._guard.tell("directory", directory)
            case {"do": "pause", "group": int(group)}:
                self._guard.tell("paused", group)
                os.killpg(group, signal.SIGSTOP)
                self._paused.add(group)
            case {"do": "continue", "group": int(group)}:
                self._continue(group)
            case {"do": "directory", "prefix": str(prefix)}:
                kept = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
                self._guard.tell("directory", kept.name)
                return {"directory": self._directories.enter_context(kept)}
            case {"command": str(what), "number": int(number)}:
                return await self._command(what, number, order)
            case _:
                raise ValueError(f"no order: {order.get('do')}")
        return {}

    async def _command(self, what: str, number: int, order: dict[str, Any]) -> dict[str, Any]:
        match what:
            case "run":
                if order["undo"] is not None:
                    self._guard.tell("undo", number, order["undo"])
                running = await self._run(number, CommandOrder(**order["order"]), order["undoes"])
                if order["undo"] is not None:
                    self._owed[number] = CommandOrder(**order["undo"])
                return {"group": running.group}
            case "ask":
                return {"ended": self._commands[number].ended}
            case "stop":
                self._commands[number].stop()
            case "forgive":
                self._forgive(number)
        return {}

    async def _run(self, number: int, order: CommandOrder, undoes: int | None) -> RunningCommand:
        try:
            running = self._commands[number] = await RunningCommand.start(order)
        except OSError:
            # It was never begun, so there is nothing to undo.
            self._guard.tell("undo", number, None)
            raise
        if undoes is None:
            self._guard.tell("running", running.group)
            running.when_ended(lambda: self._guard.tell("running", running.group, None))
        else:
            self._undoes(running, undoes)
        return running

    def _undoes(self, running: RunningCommand, number: int) -> None:
        """Note that this command undoes another: even if we are killed, it must not be interrupted or run twice."""
        self._undoing.add(running)
        self._guard.tell("undoing", number, running.group)
        running.when_ended(lambda: self._forgive(number))

    def _forgive(self, number: int) -> None:
        self._owed.pop(number, None)
        self._guard.tell("undo", number, None)

    def _continue(self, group: int) -> None:
        self._paused.discard(group)
        # It may have been killed while it was paused.
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGCONT)
        self._guard.tell("paused", group, None)

    async def undo(self) -> None:
        for group in tuple(self._paused):
            self._continue(group)
        for proxy in self._proxies.values():
            proxy.close()
        running = list(self._commands.values())
        for command in running:
            if command not in self._undoing:
                command.stop()
        for command in running:
            await command.wait()
        for number, order in list(self._owed.items()):
            with suppress(OSError):
                undoing = await RunningCommand.start(order)
                self._undoes(undoing, number)
                await undoing.wait()
        self._directories.close()
        self._guard.dismiss()


async def keep(orders: socket.socket) -> None:
    """Carry out orders until the socket closes, then undo everything."""
    keeper = Keeper()
    reader, writer = await asyncio.open_connection(sock=orders, limit=_LONGEST_ORDER_BYTES)
    # Undo everything on SIGTERM as well.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, reader.feed_eof)
    try:
        while line := await reader.readline():
            try:
                answer = await keeper.obey(json.loads(line))
            except (OSError, ValueError, LookupError) as error:
                answer = {"trouble": f"{type(error).__name__}: {error}"}
            writer.write(json.dumps(answer).encode() + b"\n")
    except ConnectionError:
        # The run was killed while it sent an order.
        pass
    finally:
        await keeper.undo()


def main() -> None:
    # The run handles Ctrl-C in a terminal; we notice when it closes the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(keep(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
