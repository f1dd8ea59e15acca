"""A target file's `commands:`: programs that a run starts on this machine, as lists of arguments.

No shell is involved, and a command's environment has only the variables that it names, plus BASICS.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, StringConstraints

from loadproof.scenario.mistake import Mistake
from loadproof.scenario.strict import Duration, Name, Strict
from loadproof.scenario.target.headers import resolved, variables_in
from loadproof.scenario.target.operations import VariableName  # noqa: TC001 - pydantic resolves it

BACKUP, VERIFY, RESTORE, SERVE = AUDITED = ("backup", "verify", "restore", "serve")
"""Commands that mean something to loadproof."""
BASICS: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
"""Environment variables that every command gets."""
_PLACEHOLDERS: Final = {
    BACKUP: ("backup",),
    VERIFY: ("backup",),
    RESTORE: ("backup", "restored"),
    SERVE: ("restored", "port"),
}
_PLACEHOLDER: Final = re.compile(r"(?<!\$)\{([a-z_]+)\}")

Arguments = Annotated[list[Annotated[str, StringConstraints(max_length=10_000)]], Field(min_length=1, max_length=200)]


class Command(Strict):
    """A program and its arguments; ${NAME} is replaced by the environment variable."""

    run: Arguments
    environment: Annotated[list[VariableName], Field(max_length=100)] = Field(
        default=[], description=f"Environment variables that it may read, in addition to {', '.join(BASICS)}."
    )
    directory: str = Field(".", description="Working directory, relative to this file.")
    timeout: Duration = Field(60.0, description="Time limit; for `serve`, until it responds.")

    @property
    def variables(self) -> list[str]:
        """Environment variables whose values it gets, in its environment or in its arguments."""
        return list(dict.fromkeys([*self.environment, *(name for text in self.run for name in variables_in(text))]))

    def placed_in(self, directory: Path) -> Command:
        """The same command with an absolute directory."""
        return self.model_copy(update={"directory": str((directory / self.directory).absolute())})

    def arguments(self, filled: Mapping[str, str]) -> list[str]:
        """The arguments with variables and placeholders filled in: they may hold secrets, so only for running it."""
        return [resolved(_PLACEHOLDER.sub(lambda found: filled.get(found[1], found[0]), text)) for text in self.run]

    def environment_from(self, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The command's own environment."""
        return {name: environment[name] for name in (*BASICS, *self.environment) if name in environment}


def _mapped(written: Any) -> Any:
    return {"run": written} if isinstance(written, list) else written


AnyCommand = Annotated[Command, BeforeValidator(_mapped, json_schema_input_type=Arguments | Command)]
Commands = dict[Name, AnyCommand]


def command_flaws(commands: Mapping[str, Command]) -> Iterator[Mistake]:
    """Placeholders that a command doesn't have, and one that it needs."""
    for name, command in commands.items():
        known = _PLACEHOLDERS.get(name, ())
        used = [word for text in command.run for word in _PLACEHOLDER.findall(text)]
        for word in dict.fromkeys(used):
            if word not in known:
                remedy = f"use {' or '.join(f'{{{each}}}' for each in known)}" if known else "leave it out"
                yield Mistake(("commands", name), "not a placeholder of this command", f"{{{word}}}", remedy)
        if name == SERVE and "port" not in used:
            what = "it isn't told its port on 127.0.0.1"
            yield Mistake(("commands", name), what, None, "write {port}; [env, 'PORT={port}', …] sets a variable")
