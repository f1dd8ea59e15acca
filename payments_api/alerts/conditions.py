"""Decides from repeated checks when a problem begins and when it is over."""

from __future__ import annotations

from collections import deque
from typing import Final

FEWEST_ERRORS: Final = 5
"""Fewest 5xx answers in a window: one failed request out of two is no incident yet."""


class Condition:
    """Begins at the first check that reports trouble.

    Ends only after a while without trouble, so that it doesn't flap.
    """

    def __init__(self, name: str, *, calm_s: float) -> None:
        self.name = name
        self._calm_s = calm_s
        self._wrong_s: float | None = None
        """When trouble was last seen, while the condition holds; else None."""

    def look(self, trouble: str, now_s: float) -> bool | None:
        """True if the condition begins, False if it ends, None if nothing changes; `trouble` is '' if there is none."""
        if trouble:
            begins = self._wrong_s is None
            self._wrong_s = now_s
            return True if begins else None
        if self._wrong_s is None or now_s - self._wrong_s < self._calm_s:
            return None
        self._wrong_s = None
        return False


class ErrorRatio:
    """Turns cumulative counts into the share of errors in a sliding window."""

    def __init__(self, *, highest: float, window_s: float) -> None:
        self._highest = highest
        self._window_s = window_s
        self._looks: deque[tuple[float, int, int]] = deque()
        """Time, and answers and errors so far; the first is the last look before the window, if there was one."""

    def trouble(self, answers: int, errors: int, now_s: float) -> str:
        """What is wrong if errors exceed their allowed share of the window's answers, else ''."""
        self._looks.append((now_s, answers, errors))
        while len(self._looks) > 2 and now_s - self._looks[1][0] >= self._window_s:
            self._looks.popleft()
        since_s, answers_before, errors_before = self._looks[0]
        answered, failed = answers - answers_before, errors - errors_before
        if failed < FEWEST_ERRORS or failed <= self._highest * answered:
            return ""
        seconds = round(min(now_s - since_s, self._window_s)) or 1
        return f"{failed} of {answered} answers in {seconds} s were 5xx ({failed / answered:.0%})"
