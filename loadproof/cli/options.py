"""Arguments and options that several commands share, and the consoles that they print to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console

from loadproof.errors import InputError, Problem
from loadproof.run.locust import LISTEN_PORT
from loadproof.run.shipped import LOCUSTFILES

DEFAULT_OUT: Final = Path("reports")
DEFAULT_LOCUSTFILES: Final = LOCUSTFILES

console: Final = Console(highlight=False)

FilesArgument = Annotated[list[Path], typer.Argument(help="Scenario files, or names of built-in scenarios.")]
ScenarioArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[SCENARIO]", help="Scenario file, or the name of a built-in scenario, like smoke."),
]
TargetOption = Annotated[Path | None, typer.Option(help="Target file (default: the embedded target).")]
HostsOption = Annotated[list[str] | None, typer.Option(help="Allow this host to be loaded, besides loopback.")]
LocustfilesOption = Annotated[
    Path,
    typer.Option(
        metavar="DIR", show_default=False, help="Directory of users, one kind per file (default: loadproof's own)."
    ),
]
SeedOption = Annotated[int, typer.Option(help="Seed for all random choices.")]
OutOption = Annotated[Path, typer.Option(help="Directory for run directories.")]
WorkersOption = Annotated[int, typer.Option(help="Number of processes that generate load.", min=1, max=1000)]
BaselineOption = Annotated[
    Path | None, typer.Option(metavar="RUN", help="Earlier run directory of the same scenario to compare with.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Run each task once, show its requests, answers and outcomes, and exit.")
]
InconclusiveOption = Annotated[
    Literal["fail", "pass"], typer.Option(help="How INCONCLUSIVE counts: exit with 3, or with 0.")
]
AnnotateOption = Annotated[Literal["github"] | None, typer.Option(help="Also emit annotations for this CI system.")]
NotifyOption = Annotated[
    list[str] | None,
    typer.Option(metavar="URL|telegram:CHAT", help="Also send the verdict to this webhook or Telegram chat."),
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a value of the scenario, like phases.steady.duration='20 s'."
    ),
]


def address(text: str, where: str) -> tuple[str, int]:
    """HOST:PORT, or HOST with Locust's own port."""
    host, _, port = text.rpartition(":") if ":" in text else (text, "", str(LISTEN_PORT))
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InputError(Problem(where, "not an address", f"write HOST:PORT, like 0.0.0.0:{LISTEN_PORT}", got=text))
    return host, int(port)


def overrides(settings: list[str] | None) -> dict[str, str]:
    """KEY=VALUE texts by key; InputError that lists all that lack a '='."""
    pairs = [setting.partition("=") for setting in settings or []]
    problems = [
        Problem(f"--set {key}", "no '='", "write --set KEY=VALUE", got=key) for key, equals, _ in pairs if not equals
    ]
    if problems:
        raise InputError(problems)
    return {key: value for key, _, value in pairs}


def checked_locustfiles(directory: Path) -> Path:
    """The same directory; InputError unless it holds locustfiles."""
    if not any(directory.glob("[!_]*.py")):
        what = "no locustfiles in it" if directory.is_dir() else "no such directory"
        raise InputError(Problem("--locustfiles", what, "give the directory of your locustfiles", got=str(directory)))
    return directory
