"""Errors of backups, one line each: `where: what is wrong, got X; remedy`."""

from __future__ import annotations


class BackupError(Exception):
    """The backup, its check or its restore failed; nothing was changed except what the message says."""

    exit_code = 1

    def __init__(self, where: object, what: str, remedy: str, *, got: object = None) -> None:
        shown = "" if got is None else f", got {got}"
        super().__init__(f"{where}: {what}{shown}; {remedy}")


class WrongInputError(BackupError):
    """The user asked for something that can't be done."""

    exit_code = 2


class UnusableError(BackupError):
    """This backup must not be restored: damaged, or newer than this version; another one may be good."""


class BusyError(BackupError):
    """Another process is working on it."""


def reason(error: OSError) -> str:
    """The system's error message, without the path, which our message names anyway."""
    return error.strerror or type(error).__name__
