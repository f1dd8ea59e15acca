"""The secret shared by a run's processes: from the environment or a file, or generated for one run."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from loadproof import variables
from loadproof.errors import InputError, Problem

_SHORTEST: Final = 32
"""Least number of characters: keys are derived without a slow hash, so the secret must be too long to guess."""
_HOW_TO_MAKE_ONE: Final = "python3 -c 'import secrets; print(secrets.token_hex(32))'"


def new_crew_secret() -> str:
    """A new secret for the master and workers of one run."""
    return secrets.token_hex(32)


def shared_secret(where: str) -> str:
    """The value of LOADPROOF_SECRET, or of the file that LOADPROOF_SECRET_FILE names.

    InputError if it is missing or short.
    """
    text, file = os.environ.get(variables.SECRET), os.environ.get(variables.SECRET_FILE)
    if text and file:
        what = f"both {variables.SECRET} and {variables.SECRET_FILE} are set"
        raise InputError(Problem(where, what, "unset one of them"))
    if not text and not file:
        what = "no secret shared by master and workers"
        raise InputError(
            Problem(where, what, f"set {variables.SECRET} on both sides; make one with {_HOW_TO_MAKE_ONE}")
        )
    secret = text.strip() if text else _from_file(Path(file or ""))
    if len(secret) < _SHORTEST:
        place = variables.SECRET if text else variables.SECRET_FILE
        what = f"a secret of fewer than {_SHORTEST} characters can be guessed"
        raise InputError(Problem(place, what, f"make one with {_HOW_TO_MAKE_ONE}", got=f"{len(secret)} characters"))
    return secret


def _from_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not text"
        remedy = "name a file that holds the secret"
        raise InputError(Problem(variables.SECRET_FILE, f"can't be read: {reason}", remedy, got=str(path))) from None
