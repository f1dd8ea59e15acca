"""What a dry run saw of one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SENT_NOTHING: Final = "sent nothing"
UNRECORDED: Final = "unrecorded"
"""In place of an outcome: of a task without a request, and of a request by means of the user's own."""


@dataclass(frozen=True)
class Look:
    """One request, its answer, and how it would be counted; or a task that sent nothing."""

    endpoint: str
    request: str
    """Method and path; the task's name if it sent nothing."""
    outcome: str
    status: int | None
    response_s: float
    reason: str
    """Why it is not ok; empty if it is."""
    body: str
    """The beginning of the answer's body."""
    closes: bool = False
    """The target closed the connection after it."""
