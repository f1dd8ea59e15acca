"""Derives a run's load curve from its phases: goodput and response times by offered load, and where goals failed.

Steps are the flat parts of the measured phases. The rising ones, up to the highest load, show the capacity; later ones
show whether the target recovered (loadproof.analysis.estimates.recovery).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.inflight import in_flight
from loadproof.analysis.estimates.metrics import QUANTILES, counted_estimate
from loadproof.analysis.estimates.scope import Scope, Tally, answers_of, rows_of, tally
from loadproof.analysis.estimates.seconds import flat_seconds
from loadproof.analysis.estimates.shedding import Shedding, shedding_in
from loadproof.analysis.frames.traffic import PlainTraffic
from loadproof.analysis.judge.disturbances import disturbed_phases
from loadproof.analysis.judge.thresholds import judge_scope
from loadproof.analysis.word import Word
from loadproof.outcome import Outcome
from loadproof.plan.phases import level
from loadproof.scenario.thresholds.expectation import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from loadproof.analysis.estimates.estimate import Estimate
    from loadproof.analysis.frames.run import Run
    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.scenario import Scenario, Threshold

COLLAPSE: Final = 0.1
"""Share of the peak's goodput that is lost under a higher load."""
_SHED: Final = 0.9
"""If at least this share of the bad requests was refused, the target chose what it served."""
_FEWEST_STEPS: Final = 4
"""A curve with three parameters through fewer points fits anything."""


class Past(StrEnum):
    """What happened to the load beyond goodput."""

    SHED = "was refused"
    FAILED = "failed"
    LATE = "was answered too late"
    UNSENT = "was never sent, because no user was free"


@dataclass(frozen=True)
class Step:
    """A phase at one load."""

    phase: str
    load: float
    """The planned load: arrivals per second, or users."""
    offered_rps: float
    """Requests per second; for users who wait for answers, what they got round to sending."""
    throughput_rps: float
    goodput_rps: float
    goodput_ratio: Estimate | None
    in_flight: float
    """Requests in flight, on average."""
    response: dict[float, Estimate | None]
    """By quantile, for `ok` answers."""
    shedding: Shedding | None
    tally: Tally
    word: Word
    """PASS if all goals held, FAIL if one did not; INCONCLUSIVE if undecided or without goals, INVALID if disturbed."""
    broken: str
    """The goal that did not hold, or could not be decided."""

    @property
    def is_sound(self) -> bool:
        """Whether it measured the target rather than the generator, so that conclusions can be drawn."""
        return self.word is not Word.INVALID

    @property
    def past(self) -> Past | None:
        """What happened to most of the load beyond goodput; None if (nearly) everything was goodput."""
        counts = self.tally
        bad = counts.offered - counts.good
        if not self.is_sound or self.goodput_ratio is None or self.goodput_ratio.high >= 1 - 1e-3 or bad <= 0:
            return None
        if counts.outcomes[Outcome.THROTTLED] >= _SHED * bad:
            return Past.SHED
        if counts.dropped >= bad / 2:
            return Past.UNSENT
        late = counts.outcomes[Outcome.OK] - counts.good
        return Past.LATE if late >= bad / 2 else Past.FAILED


@dataclass(frozen=True)
class Scalability:
    """The Universal Scalability Law fitted to the rising steps: throughput by requests in flight.

    `tested` is the range of requests in flight that it was fitted to.
    Source: Gunther, Guerrilla Capacity Planning, chapter 5.
    """

    single_rps: float
    contention: float
    crosstalk: float
    tested: tuple[float, float]

    def throughput(self, in_flight: NDArray[np.float64]) -> NDArray[np.float64]:
        return _usl(in_flight, self.single_rps, self.contention, self.crosstalk)


@dataclass(frozen=True)
class Collapse:
    """The first step that lost much of an earlier step's goodput, under more load."""

    peak: Step
    step: Step


@dataclass(frozen=True)
class LoadCurve:
    is_closed: bool
    """Loads are numbers of users rather than arrivals per second."""
    rising: tuple[Step, ...]
    falling: tuple[Step, ...]
    """Steps after the one with the highest load."""
    collapse: Collapse | None
    law: Scalability | None

    @property
    def sound(self) -> tuple[Step, ...]:
        """The rising steps from which conclusions can be drawn."""
        return tuple(step for step in self.rising if step.is_sound)

    @property
    def held(self) -> Step | None:
        """The highest step up to which every goal held."""
        good = [step.word is Word.PASS for step in self.rising]
        last = good.index(False) if False in good else len(good)
        return self.rising[last - 1] if last else None

    @property
    def broke(self) -> Step | None:
        """The first step at which a goal did not hold."""
        return next((step for step in self.rising if step.word is Word.FAIL), None)


def load_curve(run: Run) -> LoadCurve | None:
    """The load curve of a run; None if all measured phases had the same load."""
    spans = [span for span in run.phases if not span.warm_up and flat_seconds(run, span) and not span.bursts_s]
    if len({level(span) for span in spans}) < 2:
        return None
    top = max(range(len(spans)), key=lambda place: level(spans[place]))
    disturbed = disturbed_phases(run)
    steps = [_step(run, span, is_disturbed=span.name in disturbed) for span in spans]
    rising = tuple(steps[: top + 1])
    sound = tuple(step for step in rising if step.is_sound)
    return LoadCurve(
        is_closed=run.manifest.scenario.model == "closed",
        rising=rising,
        falling=tuple(steps[top + 1 :]),
        collapse=collapse_in(sound),
        law=scalability(sound),
    )


def goals(scenario: Scenario, phase: str) -> list[Threshold]:
    """Thresholds on quantiles and ratios, applied to this phase.

    Another phase's threshold only applies if this phase has none on the same metric, endpoints, outcome and series.
    """
    kinds = [
        threshold
        for threshold in scenario.thresholds
        if (threshold.expectation.metric.quantile is not None or threshold.expectation.metric.kind.is_ratio)
        and not threshold.expectation.of_baseline
        and threshold.expectation.window_s is None
    ]
    own = {_subject(scenario, each) for each in kinds if phase in scenario.phases_of(each)}
    return [
        threshold.model_copy(update={"phase": phase})
        for threshold in kinds
        if phase in scenario.phases_of(threshold) or _subject(scenario, threshold) not in own
    ]


def _subject(scenario: Scenario, threshold: Threshold) -> tuple[object, ...]:
    return threshold.expectation.metric, scenario.endpoints_of(threshold), threshold.outcome, threshold.series


def _step(run: Run, span: PhaseSpan, *, is_disturbed: bool) -> Step:
    flat = flat_seconds(run, span)
    part = _part(run, span, flat)
    scope = Scope((span.name,), run.endpoints)
    rows, lasted_s = rows_of(part, scope), len(flat)
    counts = tally(rows)
    word, broken = (Word.INVALID, "the generator was late") if is_disturbed else _held(run, span, flat)
    return Step(
        phase=span.name,
        load=level(span),
        offered_rps=counts.offered / lasted_s,
        throughput_rps=int(answers_of(part.intervals, scope.endpoints)["count"].sum()) / lasted_s,
        goodput_rps=counts.good / lasted_s,
        goodput_ratio=counted_estimate(Metric("goodput_ratio"), part, scope),
        in_flight=in_flight(run, span, flat),
        response={quantile: counted_estimate(Metric("p", quantile=quantile), part, scope) for quantile in QUANTILES},
        shedding=None if is_disturbed else shedding_in(run, rows),
        tally=counts,
        word=word,
        broken=broken,
    )


def _part(run: Run, span: PhaseSpan, flat: range) -> PlainTraffic:
    """The run's requests in these seconds of a phase."""
    inside = run.intervals["second"].between(flat.start, flat.stop, "left")
    cut = span.model_copy(update={"start_s": float(flat.start), "end_s": float(flat.stop), "ramp_s": 0.0})
    return PlainTraffic(
        phases=tuple(cut if other.name == span.name else other for other in run.phases),
        endpoints=run.endpoints,
        start_unix_s=run.start_unix_s,
        measured_s=run.measured_s,
        intervals=run.intervals[inside],
        events=run.events,
    )


def _held(run: Run, span: PhaseSpan, flat: range) -> tuple[Word, str]:
    """The word of the phase's goals in these seconds, and why, unless they were all met."""
    scenario = run.manifest.scenario
    judgements = []
    for goal in goals(scenario, span.name):
        part = _part(run.read_by(goal), span, flat)
        judgements.append(judge_scope(goal, part, Scope.of(goal, scenario)))
    for word in (Word.FAIL, Word.INCONCLUSIVE):
        for judgement in judgements:
            if judgement.word is word:
                return word, f"{judgement.threshold.expect} ({judgement.reason})"
    return (Word.PASS if judgements else Word.INCONCLUSIVE), ""


def collapse_in(rising: tuple[Step, ...]) -> Collapse | None:
    """The first step with far less goodput than a step of lower load; None if there is none.

    Compares planned loads, because users who wait for answers offer less to a collapsing target.
    """
    for number, step in enumerate(rising):
        less = [before for before in rising[:number] if before.load < step.load]
        peak = max(less, key=lambda before: before.goodput_rps, default=step)
        if step.goodput_rps < (1 - COLLAPSE) * peak.goodput_rps:
            return Collapse(peak, step)
    return None


def scalability(steps: tuple[Step, ...]) -> Scalability | None:
    """The law fitted to these steps; None with too few steps, or if the fit fails."""
    from scipy import optimize

    in_flight = np.array([step.in_flight for step in steps])
    throughput = np.array([step.throughput_rps for step in steps])
    if len(set(in_flight.round(6))) < _FEWEST_STEPS or not (in_flight > 0).all():
        return None
    start = (float(throughput[0] / in_flight[0]), 0.01, 1e-4)
    try:
        (single, contention, crosstalk), _ = optimize.curve_fit(
            _usl, in_flight, throughput, p0=start, bounds=(0, [math.inf, 1, 1]), max_nfev=5000
        )
    except (RuntimeError, ValueError):
        return None
    tested = (float(in_flight.min()), float(in_flight.max()))
    return Scalability(float(single), float(contention), float(crosstalk), tested)


def _usl(n: NDArray[np.float64], single: float, contention: float, crosstalk: float) -> NDArray[np.float64]:
    return single * n / (1 + contention * (n - 1) + crosstalk * n * (n - 1))
