"""Arguments and options that several commands share, and the consoles that they print to."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console

from loadproof.errors import InputError, Problem
from loadproof.run.machine.shipped import LOCUSTFILES
from loadproof.run.processes.locust import LISTEN_PORT
from loadproof.units import Dimension, parse_quantity

DEFAULT_OUT: Final = Path("reports")
DEFAULT_LOCUSTFILES: Final = LOCUSTFILES

console: Final = Console(highlight=False)

load_option: Final = functools.partial(typer.Option, rich_help_panel="Load")
target_option: Final = functools.partial(typer.Option, rich_help_panel="Target")
distributed_option: Final = functools.partial(typer.Option, rich_help_panel="Distributed")
output_option: Final = functools.partial(typer.Option, rich_help_panel="Output and CI")

_LONGEST_RELEASE: Final = 80

FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="SCENARIO", help="Scenario files, or names of built-in scenarios.")
]
ScenarioArgument = Annotated[
    Path | None,
    typer.Argument(metavar="SCENARIO", help="Scenario file, or the name of a built-in scenario, like smoke."),
]
LocustfilesOption = Annotated[
    Path,
    load_option(
        metavar="DIR",
        show_default=False,
        help="Directory of users written for loadproof, one kind per file, that the scenario's mix names (default: the "
        "built-in users). Not for a plain locustfile: `run --locustfile` takes that.",
    ),
]
SettingsOption = Annotated[
    list[str] | None,
    load_option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a value of the scenario, like phases.steady.duration='20 s'; repeatable.",
    ),
]
SeedOption = Annotated[int, load_option(metavar="N", help="Seed for all random choices.")]
DryRunOption = Annotated[
    bool,
    load_option(
        "--dry-run",
        help="Run each task once, show its requests, responses and outcomes, and exit. For a Locust locustfile, one "
        "user of each class runs for up to 3 s or 20 requests instead, and the first of each request is shown.",
    ),
]
TargetOption = Annotated[
    Path | None,
    target_option(
        metavar="FILE", help="Target file: your API's address, paths and limits (default: start the reference API)."
    ),
]
ReleaseOption = Annotated[
    str,
    target_option(
        metavar="NAME",
        envvar="TARGET_RELEASE",
        show_default=False,
        help="Version or commit under test, as shown in reports and `history`.",
    ),
]
HostsOption = Annotated[
    list[str] | None, target_option(metavar="HOST", help="Host that may receive load, besides loopback; repeatable.")
]
CommandsOption = Annotated[
    bool, target_option("--allow-commands", help="Let scenarios run the target file's commands on this machine.")
]
WorkersOption = Annotated[
    int, distributed_option(metavar="N", help="Number of processes that generate load.", min=1, max=1000)
]
OutOption = Annotated[Path, output_option(metavar="DIR", help="Directory to create run directories in.")]
BaselineOption = Annotated[
    list[Path] | None,
    output_option(metavar="RUN", help="Earlier run directory of the same scenario to compare with; repeatable."),
]
InconclusiveOption = Annotated[
    Literal["fail", "pass"], output_option(help="How INCONCLUSIVE counts: exit with 3, or with 0.")
]
AnnotateOption = Annotated[Literal["github"] | None, output_option(help="Also emit annotations for this CI system.")]
NotifyOption = Annotated[
    list[str] | None,
    output_option(
        metavar="URL|telegram:CHAT", help="Also send the verdict to this webhook or Telegram chat; repeatable."
    ),
]


def terminal_only() -> Console:
    """The console if it is a terminal, otherwise a silent one: a log gets one line when a run is over."""
    return console if console.is_terminal else Console(quiet=True)


def address(text: str, where: str) -> tuple[str, int]:
    """HOST:PORT, or HOST with Locust's own port."""
    host, _, port = text.rpartition(":") if ":" in text else (text, "", str(LISTEN_PORT))
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InputError(Problem(where, "not an address", f"write HOST:PORT, like 0.0.0.0:{LISTEN_PORT}", got=text))
    return host, int(port)


def percentage(text: str, where: str) -> float:
    """The ratio written like '5 %'; InputError about the option `where` if the text is none."""
    try:
        return parse_quantity(text, Dimension.RATIO)
    except ValueError as error:
        raise InputError(Problem(where, str(error), "write it like '5 %'", got=text)) from None


def overrides(settings: list[str] | None) -> dict[str, str]:
    """KEY=VALUE texts by key; InputError that lists all that lack a '='."""
    pairs = [setting.partition("=") for setting in settings or []]
    problems = [
        Problem(f"--set {key}", "no '='", "write --set KEY=VALUE", got=key) for key, equals, _ in pairs if not equals
    ]
    if problems:
        raise InputError(problems)
    return {key: value for key, _, value in pairs}


def checked_release(text: str) -> str:
    """The name without blanks around it; InputError if it can't be shown on a line."""
    name = text.strip()
    if len(name) > _LONGEST_RELEASE or not name.isprintable():
        what = f"not a name of at most {_LONGEST_RELEASE} printable characters"
        raise InputError(Problem("--release", what, "write a version or a commit, like v1.4.2", got=text))
    return name


def checked_locustfiles(directory: Path) -> Path:
    """The same directory; InputError unless it holds locustfiles."""
    if not any(directory.glob("[!_]*.py")):
        what = "no locustfiles in it" if directory.is_dir() else "no such directory"
        raise InputError(
            Problem(
                "--locustfiles",
                what,
                "give a directory of users; a single locustfile is for `run --locustfile`",
                got=str(directory),
            )
        )
    return directory
