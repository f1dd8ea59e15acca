"""What only some machines have: its tests are skipped without it, unless LOADPROOF_EXPECTS says that it is there."""

from __future__ import annotations

import os
from typing import Literal, NoReturn, get_args

import pytest

Part = Literal["docker", "index"]
"""A Docker engine with compose and the base image; a package index."""


def missing(part: Part, reason: str) -> NoReturn:
    """Skip the test, or fail it if this machine is expected to have this part."""
    expected = os.environ.get("LOADPROOF_EXPECTS", "").split()
    parts = get_args(Part)
    if unknown := set(expected).difference(parts):
        pytest.fail(f"LOADPROOF_EXPECTS: no such part: {', '.join(unknown)}; there are {', '.join(parts)}")
    if part in expected:
        pytest.fail(f"LOADPROOF_EXPECTS says {part}, but {reason}")
    pytest.skip(reason)
