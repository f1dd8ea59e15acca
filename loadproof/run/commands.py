"""The commands of a run's target: what each is given, how it ended, and what is kept of it in the run directory."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loadproof.faults.command import CommandOrder
from loadproof.run.faultkeeper import FaultError
from loadproof.rundir.commands import CommandRun, append_command
from loadproof.scenario.commands import BACKUP
from loadproof.scenario.targetvariables import masker_of, secret_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loadproof.run.faultkeeper import FaultKeeper
    from loadproof.scenario.commands import Command
    from loadproof.scenario.targetfile import TargetFile

_LOOK_S: Final = 0.05
_KEPT_CHARACTERS: Final = 4_000


class TargetCommands:
    """Those that its target file names, or the embedded target's own. Each ends with the run at the latest."""

    def __init__(
        self,
        known: Mapping[str, Command],
        keeper: FaultKeeper,
        run: Path,
        *,
        mask: Callable[[str], str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment`: what all of them find, if it isn't what each names; `mask` removes secrets."""
        self.known = known
        self._keeper = keeper
        self._run = run
        self._mask = mask
        self._environment = environment
        self._numbers = count()
        self._places = count(1)
        self._directory: Path | None = None
        self.backup: dict[str, str] = {}
        """The placeholders of the last backup that was begun; empty if there is none."""

    def begin(
        self,
        name: str,
        filled: Mapping[str, str] | None = None,
        *,
        fault: int | None = None,
        longest_s: float | None = None,
        undo: str | None = None,
        undoes: StartedCommand | None = None,
    ) -> StartedCommand:
        """Start it, with these placeholders filled in; FaultError if that is not possible.

        `undo` names what is run if we are killed before it has been undone; that `undoes` the command given then.
        """
        number, command = next(self._numbers), self.known[name]
        owed = None if undo is None else self._order(self.known[undo], {}, None)
        begun = StartedCommand(name, command.run, fault, keeper=self._keeper, number=number, keep=self._keep)
        try:
            group = self._keeper.run(
                number,
                self._order(command, filled or {}, longest_s),
                undo=owed,
                undoes=None if undoes is None else undoes.number,
            )
        except FaultError as error:
            unstarted = CommandRun(name, fault, command.run, begun.began_unix_s, 0.0, "unstarted", None, str(error))
            raise FaultError(self._keep(unstarted).text) from None
        begun.has_started(group)
        return begun

    def begin_backup(self, fault: int | None = None, longest_s: float | None = None) -> StartedCommand:
        """Into a new and empty place."""
        self.backup = {"backup": str(self.place("backup"))}
        return self.begin(BACKUP, self.backup, fault=fault, longest_s=longest_s)

    def place(self, name: str) -> Path:
        """A new and empty directory, which is gone after the run."""
        if self._directory is None:
            self._directory = Path(self._keeper.directory("loadproof-backup-"))
        path = self._directory / f"{name}-{next(self._places)}"
        path.mkdir()
        return path

    def _order(self, command: Command, filled: Mapping[str, str], longest_s: float | None) -> CommandOrder:
        environment = command.environment_from() if self._environment is None else self._environment
        return CommandOrder(command.arguments(filled), environment, command.directory, longest_s or command.timeout)

    def _keep(self, done: CommandRun) -> CommandRun:
        """OSError if it can't be written."""
        # Masked as a whole: a secret that is cut would not be found.
        done = replace(done, output=self._mask(done.output)[-_KEPT_CHARACTERS:])
        append_command(self._run, done)
        return done


class StartedCommand:
    """One of them, from its order on."""

    group: int

    def __init__(
        self,
        name: str,
        arguments: list[str],
        fault: int | None,
        *,
        keeper: FaultKeeper,
        number: int,
        keep: Callable[[CommandRun], CommandRun],
    ) -> None:
        self.began_unix_s = time.time()
        self._ordered_s = time.monotonic()
        self._late_s = 0.0
        """At most: what its start took, which counts, so that it hasn't ended before it really has."""
        self._name = name
        self._arguments = arguments
        self._fault = fault
        self._keeper = keeper
        self.number = number
        self._keep = keep
        self._ended: CommandRun | None = None

    def has_started(self, group: int) -> None:
        self.group, self._late_s = group, time.monotonic() - self._ordered_s

    def ended(self) -> CommandRun | None:
        """How it ended, kept in the run directory; None while it runs. FaultError if nobody knows."""
        if self._ended is None:
            try:
                ended = self._keeper.ended(self.number)
            except FaultError:
                # Who would have ended it is gone.
                with suppress(OSError):
                    os.killpg(self.group, signal.SIGKILL)
                raise
            if ended is not None:
                ended["took_s"] += self._late_s
                done = CommandRun(self._name, self._fault, self._arguments, self.began_unix_s, **ended)
                self._ended = self._keep(done)
        return self._ended

    def stop(self) -> CommandRun:
        """End it, if it hasn't."""
        if self.ended() is None:
            self._keeper.stop(self.number)
        return self.wait()

    def wait(self, stop_requested: Callable[[], bool] = lambda: False) -> CommandRun:
        """Until it has ended, as it does in the time that it may take, or is stopped."""
        while (ended := self.ended()) is None:
            if stop_requested():
                return self.stop()
            time.sleep(_LOOK_S)
        return ended

    def forgive(self) -> None:
        """It has been undone."""
        self._keeper.forgive(self.number)


def commands_of(target: TargetFile, keeper: FaultKeeper, run: Path) -> TargetCommands:
    """Those of a target file."""
    variables = [name for command in target.commands.values() for name in command.variables]
    return TargetCommands(target.commands, keeper, run, mask=masker_of([*secret_variables(target), *variables]))
