"""A run beside its baseline: what changed, by how much, and why one run a side decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.estimates.metrics import QUANTILES, SummaryRow, summary
from analysis.frames.run import Run, load_run
from analysis.judge.health import examine
from analysis.judge.judgement import Word
from loadproof.errors import Problem, RunDirectoryError
from loadproof.plan.phases import plan_phases

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from analysis.estimates.estimate import Estimate
    from loadproof.scenario.scenario import Scenario


def load_baseline(path: Path, scenario: Scenario) -> Run:
    """A run of this scenario; RunDirectoryError for one with other phases or endpoints, or a broken measurement."""
    baseline = load_run(path)
    theirs = baseline.manifest.scenario
    if plan_phases(theirs) != plan_phases(scenario) or theirs.mix.keys() != scenario.mix.keys():
        remedy = f"give a run of {scenario.name} with the same phases and endpoints"
        raise RunDirectoryError(Problem(f"--baseline {path}", "another scenario's run", remedy, got=theirs.name))
    broken = [finding.what for finding in examine(baseline) if finding.word is Word.INVALID]
    if broken:
        remedy = "give a run whose measurement can be trusted"
        raise RunDirectoryError(Problem(f"--baseline {path}", "it is INVALID", remedy, got=broken[0]))
    return baseline


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
        "ended": (theirs.ending, ours.ending),
        "seed": (theirs.seed, ours.seed),
        "workers": (theirs.workers, ours.workers),
        "settings": (theirs.scenario.settings, ours.scenario.settings),
        **{name: (theirs.host.get(name), value) for name, value in ours.host.items()},
        **{name: (theirs.versions.get(name), value) for name, value in ours.versions.items()},
    }
    return [f"{name}: {was} → {now}" for name, (was, now) in pairs.items() if was != now]
