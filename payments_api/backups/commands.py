"""The commands `backup`, `restore` and `verify`, for people and schedulers."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from payments_api.backups.application import CONTENTS
from payments_api.backups.deadline import deadline
from payments_api.backups.mistakes import BackupError, WrongInputError, reason
from payments_api.backups.options import BACKUP_VARIABLES, read_backup_options
from payments_api.backups.restoring import check_backup, choose, restore
from payments_api.backups.storage.places import backups_in, open_place
from payments_api.backups.taking import take_backup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from payments_api.backups.manifest import Manifest
    from payments_api.backups.storage.places import Place

_TIMEOUT: Final = "BACKUP_TIMEOUT_S"
_LONGEST_S: Final = 86_400
COMMANDS: Final = ("backup", "restore", "verify")
_EPILOG: Final = (
    "exit codes: 0 done; 1 the backup, the check or the restore failed; 2 bad input; 130 interrupted.\n"
    "S3's keys and endpoint come from the environment alone: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,\n"
    "AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL_S3."
)


def main(arguments: Sequence[str] | None = None, *, program: str = "python -m payments_api") -> int:
    """Run a command and return its exit code; results go to standard output, errors to standard error."""
    options = _parser(program).parse_args(arguments)
    environment = {**os.environ, **_given(options)}
    run: Callable[[argparse.Namespace, Mapping[str, str], Callable[[str], None]], None] = options.run
    try:
        with deadline(options.command, _seconds(environment) or _LONGEST_S) as step:
            run(options, environment, step)
    except BackupError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except OSError as error:
        # Unexpected here, but still reported in a single line; nothing is left half done.
        sys.stderr.write(
            f"{error.filename or options.command}: {reason(error)}; check its free space and permissions\n"
        )
        return 1
    except KeyboardInterrupt:
        # At any point, like kill -9, which loses nothing either.
        sys.stderr.write(f"{options.command}: interrupted; run it again\n")
        return 130
    return 0


def _backup(_: argparse.Namespace, environment: Mapping[str, str], step: Callable[[str], None]) -> None:
    problems: list[str] = []
    options = read_backup_options(environment, problems)
    if options is None:
        raise WrongInputError("BACKUP_TO", "no destination for the backup", "give --to, or set it")
    if problems:
        raise _Problems(problems)
    database = Path(environment["DATABASE"]).absolute()
    step(f"opening {options.place}")
    place = open_place(options.place, environment)
    # Resolve links here, since the API's startup check only compares the strings.
    if place.device is not None and os.path.realpath(options.place) == os.path.realpath(database.parent):
        raise WrongInputError("BACKUP_TO", "the directory of DATABASE", "name one on another disk", got=options.place)
    taken = take_backup(database, place, keep=options.keep, step=step)
    _say(f"backed up {database} as {taken.manifest.name}: {_described(taken.manifest)}")
    if taken.deleted:
        _say(f"deleted {taken.deleted} old {'backup' if taken.deleted == 1 else 'backups'}")
    if taken.same_disk:
        what = "is on the database's own file system, and would be lost with it"
        _warn(f"{options.place}: {what}; keep a copy elsewhere too")


def _restore(options: argparse.Namespace, environment: Mapping[str, str], step: Callable[[str], None]) -> None:
    database = environment.get("DATABASE", "")
    if not database:
        raise WrongInputError("DATABASE", "no path to restore to", "give --database, or set it")
    path = Path(database).absolute()
    place = _open(environment, step)
    manifest, proof = restore(place, path, options.name, step=step, tell=_warn)
    _say(f"restored {manifest.name} to {path}: {_described(manifest)}; the API starts on it, {proof}")


def _verify(options: argparse.Namespace, environment: Mapping[str, str], step: Callable[[str], None]) -> None:
    place = _open(environment, step)
    wanted = backups_in(place) if options.all else [choose(place, options.name, tell=_warn)]
    if not wanted:
        raise WrongInputError(place.shown, "there are no backups", "name the destination that they were written to")
    problems = []
    for backup in wanted:
        step(f"checking {backup.text}")
        with tempfile.TemporaryDirectory(prefix="payments-backups-") as work:
            try:
                _say(f"{backup.text} is good: {_described(check_backup(place, backup, Path(work)))}")
            except BackupError as error:
                problems.append(str(error))
    if problems:
        raise _Problems(problems, exit_code=1)


class _Problems(WrongInputError):  # noqa: N818 - never leaves this file
    """Several problems, one complete line each."""

    def __init__(self, lines: list[str], exit_code: int = WrongInputError.exit_code) -> None:
        Exception.__init__(self, "\n".join(lines))
        self.exit_code = exit_code


def _described(manifest: Manifest) -> str:
    held = (f"{manifest.contents[name]} {name.replace('_', ' ')}" for name in list(CONTENTS)[:3])
    return (
        f"taken {manifest.created_at:%Y-%m-%d %H:%M:%S} UTC, {', '.join(held)}, "
        f"{manifest.database.bytes} bytes ({manifest.payload.bytes} packed)"
    )


def _open(environment: Mapping[str, str], step: Callable[[str], None]) -> Place:
    place = environment.get("BACKUP_TO", "")
    if not place:
        raise WrongInputError("BACKUP_TO", "no destination to read backups from", "give --from, or set it")
    if _seconds(environment) is None:
        got = ascii(environment[_TIMEOUT])
        raise WrongInputError(_TIMEOUT, "not a number of seconds", f"give one from 1 to {_LONGEST_S}", got=got)
    step(f"opening {place}")
    return open_place(place, environment)


def _seconds(environment: Mapping[str, str]) -> float | None:
    text = environment.get(_TIMEOUT) or BACKUP_VARIABLES[_TIMEOUT][0]
    return float(text) if re.fullmatch(r"\d{1,7}", text, re.ASCII) and 0 < int(text) <= _LONGEST_S else None


def _given(options: argparse.Namespace) -> dict[str, str]:
    flags = {"BACKUP_TO": options.place, "DATABASE": getattr(options, "database", None)}
    return {name: value for name, value in flags.items() if value is not None}


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _warn(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Back up the API's database while it serves, check backups, and restore one.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="|".join(COMMANDS))
    backup = _command(
        commands, "backup", "Copy the live database, check the copy, and store it in the destination.", _backup
    )
    backup.add_argument("--database", metavar="FILE", help="the SQLite file that the API serves; overrides DATABASE")
    backup.add_argument("--to", dest="place", metavar="DESTINATION", help="overrides BACKUP_TO")
    _add_variables(backup)
    restored = _command(
        commands, "restore", "Restore a backup to a path without a database; the API must start on it first.", _restore
    )
    restored.add_argument("name", nargs="?", help="of the backup; the latest by default")
    restored.add_argument("--from", dest="place", metavar="DESTINATION", help="overrides BACKUP_TO")
    restored.add_argument("--database", metavar="FILE", help="path to restore to; must not exist; overrides DATABASE")
    verify = _command(commands, "verify", "Check hashes, SQLite's integrity and the books of a backup.", _verify)
    which = verify.add_mutually_exclusive_group()
    which.add_argument("name", nargs="?", help="of the backup; the latest by default")
    which.add_argument("--all", action="store_true", help="every backup in the destination")
    verify.add_argument("--from", dest="place", metavar="DESTINATION", help="overrides BACKUP_TO")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, purpose: str, run: object
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose} DESTINATION is a directory, or s3://bucket/prefix.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_variables(parser: argparse.ArgumentParser) -> None:
    width = max(map(len, BACKUP_VARIABLES))
    lines = [
        f"  {name:{width}}  {meaning} (default: {default or 'none'})"
        for name, (default, meaning) in BACKUP_VARIABLES.items()
    ]
    parser.epilog = "environment variables:\n" + "\n".join(lines) + "\n\n" + _EPILOG
