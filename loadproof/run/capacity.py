"""Searches for the load at which a target stops keeping its goals: makes trials, each at the load that says most.

The search for bounds is MLRsearch's own library; what a trial is, when it is made again, and which trials follow around
the bounds, is ours. What the trials show is concluded elsewhere.
Source: RFC 9971; the library is the package MLRsearch 1.2.1.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from MLRsearch import AbstractMeasurer, Config, MeasurementResult, MultipleLossRatioSearch
from MLRsearch import SearchGoal as Wanted

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
_PARTS: Final = 1_000_000
"""Loss ratios are shares of this many: the library counts."""


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
        goal = self._search.goals[0]
        wanted = Wanted(
            loss_ratio=_common_ratio(self._search),
            exceed_ratio=goal.exceed_ratio,
            relative_width=goal.width,
            initial_trial_duration=goal.initial_trial_s,
            final_trial_duration=goal.final_trial_s,
            duration_sum=goal.duration_sum_s,
            preceding_targets=1 if goal.initial_trial_s < goal.final_trial_s else 0,
            fail_fast=False,
        )
        config = Config(
            goals=[wanted],
            min_load=self._search.from_rps,
            max_load=self.top_rps,
            search_duration_max=FULL_S,
            warmup_duration=None,
        )
        MultipleLossRatioSearch(config=config).search(measurer=_Measurer(self, wanted.loss_ratio), debug=_nothing)

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


class _Measurer(AbstractMeasurer):  # type: ignore[misc]  # the library has no types
    """What the library asks for trials."""

    def __init__(self, plan: TrialPlan, loss_ratio: float) -> None:
        self._plan = plan
        self._loss_ratio = loss_ratio

    def measure(self, intended_duration: float, intended_load: float) -> MeasurementResult:
        self._plan.check_time(intended_duration)
        trial = self._plan.valid_trial(intended_load, intended_duration, "search")
        return MeasurementResult(
            intended_duration=intended_duration,
            intended_load=intended_load,
            offered_count=_PARTS,
            loss_count=round(_PARTS * common_loss(trial, self._loss_ratio)),
        )


def _common_ratio(search: Search) -> float:
    """The one loss ratio that stands for all goals: the strictest."""
    return min(goal.loss_ratio for goal in search.goals)


def common_loss(trial: Trial, loss_ratio: float) -> float:
    """The trial's loss ratio for all goals together, 0-1: above `loss_ratio` if and only if any goal was missed.

    The rest of a load that was too high is what the target answered meanwhile, however late: a queue answers as much as
    it can, so the library finds its capacity with the next trial, where what it answered in time is hardly anything.
    """
    if trial.is_kept:
        return 0.0
    if trial.ending != "completed":
        return 1.0
    # More than the limit even after rounding to whole parts.
    least = loss_ratio + 2 / _PARTS
    return min(1.0, max(least, 1 - trial.throughput_rps / trial.load_rps))


def _nothing(_: str) -> None:
    """The library's own trace is nobody's concern."""
