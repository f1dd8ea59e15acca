"""A run's baseline: which runs are eligible, and what differs besides the target."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadproof.analysis.compare.baseline.thresholds import judgements_beside
from loadproof.analysis.compare.baseline.traffic import traffic_of
from loadproof.analysis.compare.replicates import Replicate, replicate_of
from loadproof.analysis.frames.run import Run, load_run
from loadproof.analysis.judge.health import why_invalid
from loadproof.errors import Problem, RunDirectoryError
from loadproof.plan.phases import plan_phases

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.analysis.judge.judgement import Judgement
    from loadproof.rundir.manifest import Manifest
    from loadproof.scenario.scenario import Scenario


NONE: Final = "none"


@dataclass(frozen=True)
class Baseline:
    """Runs of the last release: one to show next to a run, and the replicates of all."""

    run: Run
    replicates: tuple[Replicate, ...]

    def judgements(self, run: Run) -> tuple[Judgement, ...]:
        """Judgements of thresholds on the baseline; none if it has a single run, which can't decide them."""
        if len(self.replicates) < 2:
            return ()
        return judgements_beside(self.replicates, [replicate_of(run)], run.manifest.scenario)


def load_baselines(paths: Sequence[Path], scenario: Scenario) -> Baseline | None:
    """Load runs as the baseline; None without paths, RunDirectoryError with all reasons why runs can't be one."""
    runs: list[Run] = []
    problems: list[Problem] = []
    replicates: list[Replicate] = []
    for path in paths:
        try:
            runs = [load_baseline(path, scenario)]
        except RunDirectoryError as error:
            problems += error.problems
        else:
            replicates.append(replicate_of(runs[-1]))
    if problems:
        raise RunDirectoryError(problems)
    return Baseline(runs[-1], tuple(replicates)) if runs else None


def load_baseline(path: Path, scenario: Scenario) -> Run:
    """A run of this scenario; RunDirectoryError if it has other phases or endpoints, or is a broken measurement."""
    baseline = load_run(path)
    theirs = baseline.manifest.scenario
    # A scenario with a locustfile doesn't say what it sends.
    endpoints = scenario.endpoints if scenario.locustfile is None else theirs.endpoints
    if plan_phases(theirs) != plan_phases(scenario) or theirs.endpoints != endpoints:
        remedy = f"give a run of {scenario.name} with the same phases and endpoints"
        raise RunDirectoryError(Problem(f"--baseline {path}", "another scenario's run", remedy, got=theirs.name))
    why = why_invalid(baseline)
    if why is not None:
        remedy = "give a run whose measurement can be trusted"
        raise RunDirectoryError(Problem(f"--baseline {path}", "it is INVALID", remedy, got=why))
    return baseline


def circumstances(manifest: Manifest) -> dict[str, str]:
    """What may explain a result besides the target itself, by name."""
    target = manifest.target
    # An embedded target has a different port each time.
    address = {"target": target.address if target.kind == "own" else "embedded"}
    settings = manifest.scenario.settings.model_dump(mode="json")
    facts = {
        "seed": manifest.seed,
        "workers": manifest.workers,
        **address,
        "proxy": target.proxy,
        "FAULTS of the target": target.faults,
        **{f"settings.{name}": json.dumps(value) for name, value in settings.items()},
        **manifest.host,
        **manifest.versions,
    }
    return {name: NONE if value is None else str(value) for name, value in facts.items()}


def differences(run: Run, baseline: Run) -> list[str]:
    """Differences between the two runs, besides the target itself, that may explain different results."""
    ours, theirs = ({"ended": each.manifest.ending, **circumstances(each.manifest)} for each in (run, baseline))
    changes = [
        f"{name}: {theirs.get(name, NONE)} → {now}" for name, now in ours.items() if theirs.get(name, NONE) != now
    ]
    sent, was = (traffic_of(each.manifest.scenario) for each in (run, baseline))
    parts = [name for name, part in sent.items() if was.get(name) != part]
    return [*changes, *([f"the scenario's {', '.join(parts)}"] if parts else [])]
