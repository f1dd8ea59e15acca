"""Converts Unix times to dates in UTC, clamped in case a damaged file has nonsense."""

from __future__ import annotations

import time
from typing import Final

_LAST_UNIX_S: Final = 253_402_300_799
"""The end of the year 9999: a damaged timestamp may be beyond any calendar."""


def date_text(unix_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", _calendar(unix_s))


def iso_text(unix_s: float) -> str:
    """The time in JUnit's format."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", _calendar(unix_s))


def _calendar(unix_s: float) -> time.struct_time:
    return time.gmtime(min(max(unix_s, 0.0), _LAST_UNIX_S))
