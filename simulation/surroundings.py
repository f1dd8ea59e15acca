"""Simulates what a watch needs from the system: time and the generator's pipe, without sampling the target."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

from loadproof.run.watching.watch import Surroundings

if TYPE_CHECKING:
    from simulation.clock import FakeClock


class PlayedSurroundings(Surroundings):
    """Surroundings in simulated time, without sampling of the target."""

    def __init__(self, clock: FakeClock) -> None:
        self.now_s, self.unix_s = clock.now_s, clock.unix_s
        self.selector: Any = lambda: _Selector(clock)
        self.sampler: Any = lambda *_: SimpleNamespace(start=lambda: None, stop=lambda: None, trouble=None)


class _Selector:
    """Waits on a clock, then reports that there may be something to read."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def register(self, *_: object) -> None:
        self._is_heard = True

    def unregister(self, _: object) -> None:
        self._is_heard = False

    def select(self, within_s: float) -> bool:
        self._clock.sleep(within_s)
        return self._is_heard
