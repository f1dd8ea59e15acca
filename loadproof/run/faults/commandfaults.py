"""Runs the faults that are commands of the target: starts and undoes them on time, and notes when they really end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadproof.run.faults.keeperclient import FaultError
from loadproof.rundir.rows import FAULT_ENDED, FAULT_FAILED
from loadproof.scenario.faults import Backup, NamedCommand

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadproof.plan.faultspans import FaultSpan
    from loadproof.run.faults.commands import StartedCommand, TargetCommands
    from loadproof.rundir.commands import CommandRun

    Note = Callable[[str, str], None]
    """Records an event that happens now: its kind and its detail."""


@dataclass
class _Doing:
    span: FaultSpan
    begun: StartedCommand
    undoing: StartedCommand | None = None
    has_ended: bool = False

    @property
    def undo(self) -> str | None:
        return self.span.fault.undo if isinstance(self.span.fault, NamedCommand) else None


class CommandFaults:
    """The command faults of one run, for a single thread."""

    def __init__(self, commands: TargetCommands, note: Note) -> None:
        self._commands = commands
        self._note = note
        self._doing: dict[int, _Doing] = {}

    @property
    def are_over(self) -> bool:
        """Whether nothing runs and nothing is left to undo."""
        return not self._doing

    def begin(self, span: FaultSpan) -> None:
        """Start the fault's command; FaultError if it can't be started."""
        if isinstance(span.fault, Backup):
            begun = self._commands.begin_backup(span.number, span.fault.lasts)
        else:
            assert isinstance(span.fault, NamedCommand)  # noqa: S101 - the other kind
            begun = self._commands.begin(
                span.fault.name, fault=span.number, longest_s=span.fault.lasts, undo=span.fault.undo
            )
        self._doing[span.number] = _Doing(span, begun)

    def look(self) -> None:
        """Note the commands that have ended by now."""
        for doing in list(self._doing.values()):
            self._try(doing, self._look_at)

    def end(self, span: FaultSpan) -> None:
        """Begin to undo the fault; a command without an undo ends by itself, because its time is over."""
        doing = self._doing.get(span.number)
        if doing is not None and doing.undo is not None:
            self._try(doing, self._begin_undo)

    def finish(self, *, is_early: bool) -> None:
        """Wait until nothing runs and everything is undone; stop the commands first if the run `is_early` over."""
        for doing in list(self._doing.values()):
            self._try(doing, self._stop if is_early else self._wait_for)

    def _stop(self, doing: _Doing) -> None:
        doing.begun.stop()
        self._wait_for(doing)

    def _wait_for(self, doing: _Doing) -> None:
        doing.begun.wait()
        if doing.undo is not None:
            if doing.undoing is None:
                self._begin_undo(doing)
            if doing.undoing is not None:
                doing.undoing.wait()
        self._look_at(doing)

    def _look_at(self, doing: _Doing) -> None:
        if not doing.has_ended and (ended := doing.begun.ended()) is not None:
            doing.has_ended = True
            if doing.undo is None or _is_failure(ended):
                self._note_end(doing, ended)
        undone = doing.undoing.ended() if doing.undoing is not None else None
        if undone is not None:
            doing.begun.forgive()
            self._note_end(doing, undone)
        if undone is not None or (doing.has_ended and doing.undo is None):
            del self._doing[doing.span.number]

    def _begin_undo(self, doing: _Doing) -> None:
        assert doing.undo is not None  # noqa: S101 - checked by callers
        doing.begun.wait()
        self._look_at(doing)
        doing.undoing = self._commands.begin(doing.undo, fault=doing.span.number, undoes=doing.begun)

    def _note_end(self, doing: _Doing, ended: CommandRun) -> None:
        detail: dict[str, Any] = {"code": ended.code, "took_s": round(ended.took_s, 3)}
        if _is_failure(ended):
            # A failed backup is the target's fault; if any other command fails, nothing was done to the target.
            detail |= {"reason": ended.text, "is_targets": isinstance(doing.span.fault, Backup)}
        self._note(FAULT_FAILED if _is_failure(ended) else FAULT_ENDED, json.dumps(named(doing.span) | detail))

    def _try(self, doing: _Doing, change: Callable[[_Doing], object]) -> None:
        try:
            change(doing)
        except (FaultError, OSError) as error:
            self._doing.pop(doing.span.number, None)
            self._note(FAULT_FAILED, json.dumps(named(doing.span) | {"reason": str(error)}))


def _is_failure(ended: CommandRun) -> bool:
    return not ended.is_done and ended.how != "stopped"


def named(span: FaultSpan) -> dict[str, object]:
    """A fault as events describe it."""
    name = {"name": span.fault.name} if isinstance(span.fault, NamedCommand) else {}
    return {"number": span.number, "fault": span.fault.fault, "of": span.fault.of, **name}
