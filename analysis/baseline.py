"""A run beside its baseline: what changed, by how much, and why one run a side decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analysis.frames import Run, load_run
from analysis.judgement import Judgement, Word, interval_text
from analysis.metrics import QUANTILES, SummaryRow, summary
from loadproof.errors import Problem, RunDirectoryError
from loadproof.plan import plan_phases
from loadproof.units import format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from analysis.estimate import Estimate
    from analysis.judgement import Expected
    from loadproof.scenario import Scenario

_WHY: Final = "one run a side can't tell a change from noise"
"""Requests of one run share its luck: the replicate is the run."""


def load_baseline(path: Path, scenario: Scenario) -> Run:
    """A run of this scenario; RunDirectoryError for one with other phases or endpoints."""
    baseline = load_run(path)
    theirs = baseline.manifest.scenario
    if plan_phases(theirs) != plan_phases(scenario) or theirs.mix.keys() != scenario.mix.keys():
        remedy = f"give a run of {scenario.name} with the same phases and endpoints"
        raise RunDirectoryError(Problem(f"--baseline {path}", "another scenario's run", remedy, got=theirs.name))
    return baseline


def judge_beside(threshold: Expected, candidate: Estimate, before: Estimate | None, *, is_given: bool) -> Judgement:
    """INCONCLUSIVE, with the difference."""
    expectation = threshold.expectation
    dimension = expectation.metric.dimension
    seen = format_quantity(candidate.value, dimension)
    if before is None:
        missing = "the baseline has no samples of it" if is_given else "no baseline was given; add --baseline RUN"
        return Judgement(threshold, Word.INCONCLUSIVE, candidate, f"{seen}, and {missing}")
    times = f"{candidate.value / before.value:.2f} x " if before.value > 0 else ""
    was = f"{format_quantity(before.value, dimension)} ({interval_text(before, dimension)})"
    return Judgement(threshold, Word.INCONCLUSIVE, candidate, f"{seen}, {times}the baseline's {was}: {_WHY}")


@dataclass(frozen=True)
class Change:
    """One phase and endpoint (None: all), beside the baseline's."""

    candidate: SummaryRow
    baseline: SummaryRow

    def quantiles(self) -> Iterator[tuple[Estimate | None, Estimate | None]]:
        """Of the response time of `ok` answers: the baseline's, the candidate's."""
        for quantile in QUANTILES:
            yield self.baseline.response[quantile], self.candidate.response[quantile]


def changes(run: Run, baseline: Run) -> list[Change]:
    """Each measured phase with all endpoints together, then each of them."""
    before = {(row.phase.name, row.endpoint): row for row in summary(baseline)}
    return [
        Change(candidate=row, baseline=before[row.phase.name, row.endpoint])
        for row in summary(run)
        if not row.phase.warm_up
    ]


def differences(run: Run, baseline: Run) -> list[str]:
    """What besides the target differs between the two, and may be why they do."""
    ours, theirs = run.manifest, baseline.manifest
    pairs = {
        "seed": (theirs.seed, ours.seed),
        "workers": (theirs.workers, ours.workers),
        "settings": (theirs.scenario.settings, ours.scenario.settings),
        **{name: (theirs.host.get(name), value) for name, value in ours.host.items()},
        **{name: (theirs.versions.get(name), value) for name, value in ours.versions.items()},
    }
    return [f"{name}: {was} → {now}" for name, (was, now) in pairs.items() if was != now]
