"""What a dry run shows about one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SENT_NOTHING: Final = "sent nothing"
UNRECORDED: Final = "unrecorded"
"""Instead of an outcome: for a task without a request, and for a request sent without `send`."""
SHOWN_CHARACTERS: Final = 160
"""How much of an answer's body is shown."""


@dataclass(frozen=True)
class DryRequest:
    """A request, its answer, and how it would be counted; or a task that sent nothing."""

    endpoint: str
    request: str
    """Method and path; the task's name if it sent nothing."""
    outcome: str
    status: int | None
    response_s: float
    reason: str
    """Why the outcome isn't ok; empty if it is."""
    body: str
    """The beginning of the answer's body."""
    closes: bool = False
    """The target closed the connection after it."""
