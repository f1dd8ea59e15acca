"""Turns the variables of backups into validated options; reports all errors at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from payments_api.backups.mistakes import WrongInputError
from payments_api.backups.storage.places import open_place
from payments_api.backups.storage.retention import Keep

BACKUP_VARIABLES: Final[dict[str, tuple[str, str]]] = {
    "BACKUP_TO": ("", "directory, or s3://bucket/prefix, for daily backups; none if empty"),
    "BACKUP_AT": ("03:00", "time of day, in UTC"),
    "BACKUP_KEEP_DAYS": ("14", "number of days whose newest backup is kept"),
    "BACKUP_KEEP_WEEKS": ("8", "as above"),
    "BACKUP_KEEP_MONTHS": ("12", "as above"),
    "BACKUP_TIMEOUT_S": ("3600", "a backup that takes longer is stopped"),
    "BACKUP_REQUEST_TIMEOUT_S": ("60", "as above, for a request to S3"),
}
"""Default and meaning by name, as in payments_api.settings. S3 keys and endpoint have their usual names: AWS_..."""


@dataclass(frozen=True)
class BackupOptions:
    place: str
    at_s: int
    """Seconds after midnight, UTC."""
    keep: Keep
    timeout_s: int

    def variables(self) -> dict[str, str]:
        """The environment variables for a process that works for us."""
        days, weeks, months = map(str, self.keep)
        keep = {"BACKUP_KEEP_DAYS": days, "BACKUP_KEEP_WEEKS": weeks, "BACKUP_KEEP_MONTHS": months}
        return {"BACKUP_TO": self.place, "BACKUP_TIMEOUT_S": str(self.timeout_s), **keep}


def read_backup_options(environment: Mapping[str, str], problems: list[str]) -> BackupOptions | None:
    """The options; None without BACKUP_TO. Appends errors to `problems`, in which case the result must not be used."""
    values = {name: environment.get(name, default) for name, (default, _) in BACKUP_VARIABLES.items()}
    if not values["BACKUP_TO"]:
        idle = [name for name in BACKUP_VARIABLES if environment.get(name)]
        problems += [f"{name}: got {values[name]!a} without BACKUP_TO; set both or neither" for name in idle]
        return None

    def number(name: str, low: int, high: int) -> int:
        text = values[name]
        if re.fullmatch(r"\d{1,7}", text, re.ASCII) and low <= int(text) <= high:
            return int(text)
        problems.append(f"{name}: got {text!a}; give a number from {low} to {high}")
        return low

    _check_place(values["BACKUP_TO"], environment, problems)
    at = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", values["BACKUP_AT"], re.ASCII)
    if at is None:
        problems.append(f"BACKUP_AT: got {values['BACKUP_AT']!a}; write a time like 03:00")
    return BackupOptions(
        place=values["BACKUP_TO"],
        at_s=int(at[1]) * 3600 + int(at[2]) * 60 if at else 0,
        keep=read_keep(number),
        timeout_s=number("BACKUP_TIMEOUT_S", 1, 86_400),
    )


def read_keep(number: Callable[[str, int, int], int]) -> Keep:
    return Keep(
        number("BACKUP_KEEP_DAYS", 1, 3660),
        number("BACKUP_KEEP_WEEKS", 0, 520),
        number("BACKUP_KEEP_MONTHS", 0, 120),
    )


def _check_place(place: str, environment: Mapping[str, str], problems: list[str]) -> None:
    """Check the place without accessing it: one that hangs would keep the API from starting."""
    database = environment.get("DATABASE", "")
    if not database:
        problems.append("BACKUP_TO: got a destination, but DATABASE is empty; a temporary database has no backups")
    elif os.path.abspath(place) == os.path.dirname(os.path.abspath(database)):  # noqa: PTH100, PTH120 - see above
        problems.append(f"BACKUP_TO: got the directory of DATABASE, {place!a}; name one on another disk")
    try:
        # Nor should a missing directory keep the API from starting: the first backup, due at once, will report it.
        if place.startswith("s3://"):
            open_place(place, environment)
    except WrongInputError as error:
        problems.append(str(error))
