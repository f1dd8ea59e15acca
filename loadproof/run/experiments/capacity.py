"""Searches for the load at which a target stops meeting its goals: makes trials, each at the most telling load.

A library searches for bounds. This module decides what a trial is, when it is repeated, and which trials follow around
the bounds. The analysis draws the conclusions.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from loadproof.units import three_digits

if TYPE_CHECKING:
    from loadproof.rundir.trials import Search, Stage, Trial

QUICK_S: Final = 90.0
FULL_S: Final = 1800.0
_OVERHEAD_S: Final = 6.0
"""Assumed overhead of a trial besides its length, until one has been timed."""
_ATTEMPTS: Final = 3
"""After this many invalid trials in a row at one load, the generator is taken to be unable to send it."""
_LESS: Final = 0.8
"""Share of a load that the generator can't send that becomes the new upper end."""
AROUND, FURTHER = 0.03, 0.06
"""How far below and above the estimate the trials for its interval are: in the first half, in the second half."""
_NARROW: Final = 0.08
"""No second half is needed if the interval's width, as a share of its value, is at most this."""
BEYOND: Final = 1.2


class SearchStoppedError(Exception):
    """A signal stopped the search."""


class UnsendableError(Exception):
    """The generator can't send this load as planned."""

    def __init__(self, load_rps: float, why: str) -> None:
        super().__init__(f"this machine's generator can't send {three_digits(load_rps)} rps or more as planned: {why}")
        self.load_rps = load_rps


class _OutOfTimeError(Exception):
    """The time for finding bounds is over; the trials so far are kept."""


Measure = Callable[[float, float, "Stage"], "Trial"]
"""Makes and records one trial, from a load in rps, a duration in s and a stage; SearchStoppedError after a signal."""


class Known(NamedTuple):
    """A capacity, as far as it is known."""

    value_rps: float
    width: float
    """Width of the interval as a share of the value; infinite without an interval."""


class TrialPlan:
    """The trials of a search, in order; valid trials of an interrupted search are used again."""

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
        """`estimate` turns trials into the capacity known so far; `spent_s` of the search's time has been used."""
        self._search = search
        self._measure = measure
        self._estimate = estimate
        self._clock = clock
        self._ends_s = clock() - spent_s + (QUICK_S if search.is_quick else FULL_S)
        self._beside_s = search.warm_up_s + _OVERHEAD_S
        """Overhead of a trial besides its length."""
        self.trials: list[Trial] = []
        """In the order in which the plan asked for them."""
        self._unused: dict[tuple[Stage, float, float], deque[Trial]] = defaultdict(deque)
        for trial in before:
            if trial.is_valid:
                self._unused[trial.stage, trial.load_rps, trial.duration_s].append(trial)
        self.top_rps = search.top_rps

    def make(self) -> None:
        """Make all trials, in order; UnsendableError if not even the lower end can be sent."""
        self._look()
        # Loads that can't be sent are skipped: the bounds found so far still count.
        with suppress(UnsendableError):
            self._look_closer()
        with suppress(UnsendableError):
            self._look_beyond()

    def valid_trial(self, load_rps: float, duration_s: float, stage: Stage) -> Trial:
        """A valid trial, repeated while the generator rather than the target was measured."""
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
        """_OutOfTimeError if another trial, plus the one beyond the estimate, would end too late."""
        if self._clock() + 2 * (duration_s + self._beside_s) > self._ends_s:
            raise _OutOfTimeError

    def _look(self) -> None:
        """Search until the bounds are close enough, lowering the upper end if the generator can't send it."""
        while True:
            try:
                self._find_bounds()
            except UnsendableError as error:
                self.top_rps = min(self.top_rps, _LESS * error.load_rps)
                if self.top_rps <= self._search.from_rps:
                    raise
            else:
                return

    def _find_bounds(self) -> None:
        """Search between the ends until the bounds are close enough or the time is over."""
        # Imported here because the library takes half a second to import.
        from loadproof.run.experiments.boundsearch import find_bounds

        def measure(load_rps: float, duration_s: float) -> Trial:
            self.check_time(duration_s)
            return self.valid_trial(load_rps, duration_s, "search")

        with suppress(_OutOfTimeError):
            find_bounds(self._search, self.top_rps, measure, within_s=FULL_S)

    def _look_closer(self) -> None:
        """Make pairs of trials, one above and one below the estimate, which each pair updates.

        If the interval is still wide, as many again further away: the target degrades gradually.
        """
        pairs = self._search.repeats // 2
        for pair in range(2 * pairs):
            known = self._estimate(self.trials)
            if known is None or not self._search.from_rps < known.value_rps <= self.top_rps:
                return
            if pair >= pairs and known.width <= _NARROW:
                return
            # Alternate the order, so that a drift of the target doesn't look like an effect of the load.
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
