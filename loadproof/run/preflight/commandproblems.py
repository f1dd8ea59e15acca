"""Finds commands that a scenario needs but this run can't start: not named, not allowed, not on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loadproof.errors import Problem
from loadproof.scenario.faults import CommandFault, NamedCommand
from loadproof.scenario.strict import nearest
from loadproof.scenario.target.commands import BACKUP, RESTORE, SERVE, VERIFY
from loadproof.scenario.target.variables import problems_of_variable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.scenario.scenario import Scenario
    from loadproof.scenario.target.commands import Command
    from loadproof.scenario.target.targetfile import TargetFile

ALLOW: Final = "--allow-commands"


def needed_commands(scenario: Scenario) -> dict[str, str]:
    """The names of commands, each with the first place in the scenario that needs it."""
    needed: dict[str, str] = {}
    for index, fault in enumerate(scenario.faults):
        if isinstance(fault, CommandFault):
            needed.setdefault(fault.command, f"faults[{index}]")
        if isinstance(fault, NamedCommand) and fault.undo is not None:
            needed.setdefault(fault.undo, f"faults[{index}].undo")
    if "backup" in scenario.audits:
        needed |= dict.fromkeys((RESTORE, SERVE), "thresholds audit backup")
    return needed


def used_commands(scenario: Scenario, target: TargetFile) -> dict[str, Command]:
    """The target file's commands that a run of the scenario starts, by name."""
    wanted = {*needed_commands(scenario), *([VERIFY] if "backup" in scenario.audits else [])}
    return {name: command for name, command in target.commands.items() if name in wanted}


def command_problems(
    scenario: Scenario, target: TargetFile | None, *, where: str, is_allowed: bool
) -> Iterator[Problem]:
    """Problems with the commands; `target` is None for the embedded target, whose commands need no permission."""
    known = [BACKUP, VERIFY, RESTORE, SERVE] if target is None else list(target.commands)
    for name, place in needed_commands(scenario).items():
        if target is None and name != BACKUP and place.startswith("faults"):
            remedy = "name it in the `commands` of a target file, and give that with --target"
            yield Problem(f"{where} {place}", "the reference API has no such command", remedy, got=name)
        elif name not in known:
            remedy = f"{nearest(name, known)}; or add it" if known else "add it there"
            yield Problem(f"{where} {place}", "no such command in the target file's `commands`", remedy, got=name)
    used = {} if target is None else used_commands(scenario, target)
    if used and not is_allowed:
        what = "runs programs that the target file names on this machine"
        yield Problem(f"{where} faults", what, f"review them, then pass {ALLOW}", got=", ".join(used))
    for name, command in used.items():
        place = f"target commands.{name}"
        for variable in command.variables:
            yield from problems_of_variable(place, variable)
        if not Path(command.directory).is_dir():
            yield Problem(place, "no such directory", "correct `directory`", got=command.directory)
        elif not _is_program(command):
            remedy = "install it, or correct its path, which is relative to its `directory`"
            yield Problem(place, "no such program", remedy, got=command.run[0])


def _is_program(command: Command) -> bool:
    name = command.arguments({})[0]
    found = str(Path(command.directory) / name) if os.sep in name else shutil.which(name)
    return found is not None and os.access(found, os.X_OK) and Path(found).is_file()
