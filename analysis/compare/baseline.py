"""A run's baseline: which run is eligible, and what differs between the two besides the target."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from loadproof.analysis.frames.run import Run, load_run
from loadproof.analysis.judge.health import findings_in
from loadproof.analysis.word import Word
from loadproof.errors import Problem, RunDirectoryError
from loadproof.plan.phases import plan_phases

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.scenario.scenario import Scenario


def load_baseline(path: Path, scenario: Scenario) -> Run:
    """A run of this scenario; RunDirectoryError if it has other phases or endpoints, or is a broken measurement."""
    baseline = load_run(path)
    theirs = baseline.manifest.scenario
    # What a locustfile sends, it doesn't say.
    endpoints = scenario.endpoints if scenario.locustfile is None else theirs.endpoints
    if plan_phases(theirs) != plan_phases(scenario) or theirs.endpoints != endpoints:
        remedy = f"give a run of {scenario.name} with the same phases and endpoints"
        raise RunDirectoryError(Problem(f"--baseline {path}", "another scenario's run", remedy, got=theirs.name))
    broken = [finding.what for finding in findings_in(baseline) if finding.word is Word.INVALID]
    if broken:
        remedy = "give a run whose measurement can be trusted"
        raise RunDirectoryError(Problem(f"--baseline {path}", "it is INVALID", remedy, got=broken[0]))
    return baseline


def _settings(theirs: Scenario, ours: Scenario) -> dict[str, tuple[str, str]]:
    """Settings of the embedded target that differ, each by its name and as a scenario writes it."""
    was, now = (scenario.settings.model_dump(mode="json") for scenario in (theirs, ours))
    return {f"settings.{name}": (json.dumps(was[name]), json.dumps(value)) for name, value in now.items()}


def differences(run: Run, baseline: Run) -> list[str]:
    """What besides the target itself differs between the two, and may explain why their results do."""
    ours, theirs = run.manifest, baseline.manifest
    pairs = {
        "ended": (theirs.ending, ours.ending),
        "seed": (theirs.seed, ours.seed),
        "workers": (theirs.workers, ours.workers),
        "proxy": (theirs.target.proxy, ours.target.proxy),
        **_settings(theirs.scenario, ours.scenario),
        **{name: (theirs.host.get(name), value) for name, value in ours.host.items()},
        **{name: (theirs.versions.get(name), value) for name, value in ours.versions.items()},
    }
    return [f"{name}: {was} → {now}" for name, (was, now) in pairs.items() if was != now]
