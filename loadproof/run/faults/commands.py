"""Runs the commands of a run's target, and records in the run directory how each ended."""

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
from loadproof.run.faults.keeperclient import FaultError
from loadproof.rundir.commands import CommandRun, append_command
from loadproof.scenario.target.commands import BACKUP
from loadproof.scenario.target.variables import masker_of, secret_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loadproof.run.faults.keeperclient import KeeperClient
    from loadproof.scenario.target.commands import Command
    from loadproof.scenario.target.targetfile import TargetFile

_LOOK_S: Final = 0.05
_KEPT_CHARACTERS: Final = 4_000


class TargetCommands:
    """The commands in the target file, or the embedded target's own. Each ends with the run at the latest."""

    def __init__(
        self,
        known: Mapping[str, Command],
        keeper: KeeperClient,
        run: Path,
        *,
        mask: Callable[[str], str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` replaces what each command asks for; `mask` removes secrets from recorded output."""
        self.known = known
        self._keeper = keeper
        self._run = run
        self._mask = mask
        self._environment = environment
        self._numbers = count()
        self._places = count(1)
        self._directory: Path | None = None
        self.backup: dict[str, str] = {}
        """The placeholders of the backup begun last; empty if there is none."""

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
        """Start a command with these placeholders filled in; FaultError if that fails.

        `undo` names the command that undoes this one, which also runs if we are killed first; a command started to undo
        another one names it in `undoes`.
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
        """Start a backup into a new, empty directory."""
        self.backup = {"backup": str(self.place("backup"))}
        return self.begin(BACKUP, self.backup, fault=fault, longest_s=longest_s)

    def place(self, name: str) -> Path:
        """A new, empty directory, which is removed after the run."""
        if self._directory is None:
            self._directory = Path(self._keeper.directory("loadproof-backup-"))
        path = self._directory / f"{name}-{next(self._places)}"
        path.mkdir()
        return path

    def _order(self, command: Command, filled: Mapping[str, str], longest_s: float | None) -> CommandOrder:
        environment = command.environment_from() if self._environment is None else self._environment
        return CommandOrder(command.arguments(filled), environment, command.directory, longest_s or command.timeout)

    def _keep(self, done: CommandRun) -> CommandRun:
        """Record how a command ended; OSError if that can't be written."""
        # Mask before cutting: a secret that was cut in two would not be found.
        done = replace(done, output=self._mask(done.output)[-_KEPT_CHARACTERS:])
        append_command(self._run, done)
        return done


class StartedCommand:
    """A command that has been ordered to start."""

    group: int

    def __init__(
        self,
        name: str,
        arguments: list[str],
        fault: int | None,
        *,
        keeper: KeeperClient,
        number: int,
        keep: Callable[[CommandRun], CommandRun],
    ) -> None:
        self.began_unix_s = time.time()
        self._ordered_s = time.monotonic()
        self._late_s = 0.0
        """How long the start took; added to the command's time, so that its recorded end is never too early."""
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
        """How the command ended, also recorded in the run directory; None while it runs.

        FaultError if the process that started it is gone.
        """
        if self._ended is None:
            try:
                ended = self._keeper.ended(self.number)
            except FaultError:
                # The process that would have ended it is gone.
                with suppress(OSError):
                    os.killpg(self.group, signal.SIGKILL)
                raise
            if ended is not None:
                ended["took_s"] += self._late_s
                done = CommandRun(self._name, self._fault, self._arguments, self.began_unix_s, **ended)
                self._ended = self._keep(done)
        return self._ended

    def stop(self) -> CommandRun:
        """End the command if it is still running."""
        if self.ended() is None:
            self._keeper.stop(self.number)
        return self.wait()

    def wait(self, stop_requested: Callable[[], bool] = lambda: False) -> CommandRun:
        """Wait until the command has ended, which its timeout guarantees; stop it if a stop is requested."""
        while (ended := self.ended()) is None:
            if stop_requested():
                return self.stop()
            time.sleep(_LOOK_S)
        return ended

    def forgive(self) -> None:
        """Note that the command has been undone."""
        self._keeper.forgive(self.number)


def commands_of(target: TargetFile, keeper: KeeperClient, run: Path) -> TargetCommands:
    """The commands of a target file."""
    variables = [name for command in target.commands.values() for name in command.variables]
    return TargetCommands(target.commands, keeper, run, mask=masker_of([*secret_variables(target), *variables]))
