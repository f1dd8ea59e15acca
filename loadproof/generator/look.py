"""What a dry run saw of one request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """One request, its answer, and how it would be counted."""

    endpoint: str
    request: str
    """Method and path."""
    outcome: str
    status: int | None
    response_s: float
    reason: str
    """Why it is not ok; empty when it is."""
    body: str
    """The beginning of the answer's body."""
    closes: bool = False
    """The target closed the connection after it."""
