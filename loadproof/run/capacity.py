"""Searches for the load at which a target stops keeping its goals: makes trials, each at the load that says most.

A library searches for bounds; what a trial is, when it is made again, and which trials follow around the bounds, is
decided here. What the trials show is concluded elsewhere.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from loadproof.rundir.trials import Search, Stage, Trial

QUICK_S: Final = 90.0
FULL_S: Final = 1800.0
_OVERHEAD_S: Final = 6.0
"""What a trial takes beside its length, until one has shown it."""
_ATTEMPTS: Final = 3
"""Invalid trials in a row at one load: then the generator can't send it."""
_LESS: Final = 0.8
"""Of a load that the generator can't send, so much is tried instead."""
AROUND, FURTHER = 0.03, 0.06
"""Trials for the interval are this far below and above the estimate; the second half of them."""
_NARROW: Final = 0.08
"""An interval of this width, as a share of its value, needs no second half."""
BEYOND: Final = 1.2


class SearchStoppedError(Exception):
    """Somebody ended the search."""


class UnsendableError(Exception):
    """The generator can't send this load on time."""

    def __init__(self, load_rps: float, why: str) -> None:
        super().__init__(f"this machine's generator can't send {load_rps:,.4g} rps or more on time: {why}")
        self.load_rps = load_rps


class _OutOfTimeError(Exception):
    """The time for looking is over; what is known stays."""


Measure = Callable[[float, float, "Stage"], "Trial"]
"""Makes, records and returns one trial of a load, for so many seconds, at a stage; or SearchStoppedError."""


class Known(NamedTuple):
    """A capacity, as far as it is known."""

    value_rps: float
    width: float
    """Of its interval, as a share of the value; infinite without one."""


class TrialPlan:
    """Which trials a search makes. Those made before, by a search that was cut off, are not made again."""

    def __init__(
        self,
        search: Search,
        measure: Measure,
        estimate: Callable[[Sequence[Trial]], Known | None],
        *,
        before: Sequence[Trial] = (),
        spent_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`estimate` is what these trials show; `spent_s` of the search's time has passed."""
        self._search = search
        self._measure = measure
        self._estimate = estimate
        self._clock = clock
        self._ends_s = clock() - spent_s + (QUICK_S if search.is_quick else FULL_S)
        self._beside_s = search.warm_up_s + _OVERHEAD_S
        """What a trial takes beside its length."""
        self.trials: list[Trial] = []
        """In the order in which the plan asked for them."""
        self._unused: dict[tuple[Stage, float, float], deque[Trial]] = defaultdict(deque)
        for trial in before:
            if trial.is_valid:
                self._unused[trial.stage, trial.load_rps, trial.duration_s].append(trial)
        self.top_rps = search.top_rps

    def make(self) -> None:
        """All trials, in order. UnsendableError if not even the lower end can be sent."""
        self._look()
        # What can't be sent any more is missing; what the search has found stays.
        with suppress(UnsendableError):
            self._look_closer()
        with suppress(UnsendableError):
            self._look_beyond()

    def valid_trial(self, load_rps: float, duration_s: float, stage: Stage) -> Trial:
        """A trial of the target, however often one measured the generator instead."""
        load_rps = round(load_rps, 6)
        if unused := self._unused[stage, load_rps, duration_s]:
            self.trials.append(unused.popleft())
            return self.trials[-1]
        for _ in range(_ATTEMPTS):
            begun_s = self._clock()
            trial = self._measure(load_rps, duration_s, stage)
            self._beside_s = self._clock() - begun_s - duration_s
            self.trials.append(trial)
            if trial.is_valid:
                return trial
        raise UnsendableError(load_rps, trial.invalid or "")

    def check_time(self, duration_s: float) -> None:
        """_OutOfTimeError if another trial, and the one beyond, would end too late."""
        if self._clock() + 2 * (duration_s + self._beside_s) > self._ends_s:
            raise _OutOfTimeError

    def _look(self) -> None:
        """Until the bounds are close enough; with a lower upper end if the generator can't send it."""
        while True:
            try:
                self._find_bounds()
            except UnsendableError as error:
                self.top_rps = min(self.top_rps, _LESS * error.load_rps)
                if self.top_rps <= self._search.from_rps:
                    raise
            except _OutOfTimeError:
                return
            else:
                return

    def _find_bounds(self) -> None:
        # The library takes half a second to import: only a search pays for it.
        from loadproof.run.boundsearch import find_bounds

        def measure(load_rps: float, duration_s: float) -> Trial:
            self.check_time(duration_s)
            return self.valid_trial(load_rps, duration_s, "search")

        find_bounds(self._search, self.top_rps, measure, within_s=FULL_S)

    def _look_closer(self) -> None:
        """Pairs of trials, one below the estimate and one above it, each pair around what is known by then.

        Twice as many, further away, if the interval is still wide: the target doesn't fail all at once.
        """
        pairs = self._search.repeats // 2
        for pair in range(2 * pairs):
            known = self._estimate(self.trials)
            if known is None or not self._search.from_rps < known.value_rps <= self.top_rps:
                return
            if pair >= pairs and known.width <= _NARROW:
                return
            # A drift of the target must not look like an effect of the load.
            far = (AROUND if pair < pairs else FURTHER) * (-1) ** pair
            for side in (far, -far):
                load_rps = min(known.value_rps * (1 + side), self.top_rps)
                self.valid_trial(load_rps, self._search.trial_s, "repeat")

    def _look_beyond(self) -> None:
        known = self._estimate(self.trials)
        if known is not None:
            load_rps = min(BEYOND * known.value_rps, self.top_rps)
            if load_rps > (1 + AROUND) * known.value_rps:
                self.valid_trial(load_rps, self._search.trial_s, "beyond")
