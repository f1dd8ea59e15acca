"""What the recorder holds of a simulated user, and a journey of several requests for it to send."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.pool import Group

from loadproof.rundir.rows import NEVER_SENT

if TYPE_CHECKING:
    from loadproof.rundir.rows import IntervalRow
    from simulation.playeduser import PlayedUser

NAMES: Final = ("login", "cart", "pay")
MIX: Final[dict[str, Any]] = {"health": {"share": "100 %", "every": "2 s", "requests": list(NAMES)}}


def call(user, name: str):
    return user.send(user.api.call("GET", f"/{name}", name=name), lambda _: None)


def live(played: PlayedUser, until_s: float) -> None:
    life = played.user.start(Group())
    played.time.advance_to(until_s)
    life.kill(block=False)
    played.time.advance_to(until_s)


def rows(played: PlayedUser, now_s: float) -> list[IntervalRow]:
    """Everything that was recorded."""
    taking = gevent.spawn(played.recorder.take, now_s, 1, last=True)
    played.time.advance_until(taking.ready, within_s=1)
    return taking.get().cells


def cells(played: PlayedUser, now_s: float) -> dict[str, Counter[str]]:
    """Counts per series by endpoint; requests never sent are counted by their reason."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for _, _, endpoint, outcome, series, _, count in rows(played, now_s):
        counted[endpoint][outcome if series == NEVER_SENT else series] += count
    return counted
