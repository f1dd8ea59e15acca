"""Finds what a resumed search would measure differently from its earlier trials: one problem each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from loadproof.errors import Problem, RunDirectoryError
from loadproof.plan.trials import Goal, trial_of
from loadproof.run.assignment import new_manifest
from loadproof.rundir.manifest import USERS_CODE, read_manifest
from loadproof.rundir.trials import RUNS, read_trials

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from loadproof.run.assignment import Assignment
    from loadproof.rundir.manifest import Manifest

_NAMED_BEFORE: Final = {"base_url", "behind", "authorities", "redis"}
"""Fields of a target that aren't compared: its address is a setting of the search, the others belong to one run."""


def unlike_before(directory: Path, assignment: Assignment, goals: Sequence[Goal]) -> Iterator[Problem]:
    """Differences from the first trial whose run is still readable: all trials were made alike.

    RunDirectoryError if the list of trials can't be read.
    """
    trials = read_trials(directory)
    if not trials:
        return
    manifests = (_manifest_in(directory / RUNS / trial.run) for trial in trials)
    first = next(filter(None, manifests), None)
    if first is None:
        what = "none of its trials' runs can be read, so what was measured is unknown"
        yield Problem(f"--resume {directory}", what, f"restore {RUNS}/, or start over")
        return
    # Phases aren't compared, so any load and duration will do.
    trial = trial_of(assignment.scenario, goals, load_rps=1.0, warm_up_s=1.0, duration_s=1.0)
    address = assignment.target.base_url if assignment.target else first.target.base_url
    was, now = _measured(first), _measured(new_manifest(replace(assignment, scenario=trial), first.run_id, address))
    for name, value in now.items():
        if was[name] != value:
            remedy = "give the same scenario, settings and target file on the same machine, or start over"
            is_short = not isinstance(value, dict | list)
            begun = f" ({was[name]})" if is_short else ""
            what = f"the search's trials used another one{begun}"
            yield Problem(f"--resume {name}", what, remedy, got=str(value) if is_short else None)


def _manifest_in(run: Path) -> Manifest | None:
    try:
        return read_manifest(run)
    except RunDirectoryError:
        return None


def _measured(manifest: Manifest) -> Mapping[str, object]:
    """Everything besides the load that affects a trial's result, by name."""
    from loadproof.analysis.compare.baseline.sides import machine_of
    from loadproof.analysis.compare.baseline.traffic import traffic_of

    settings = manifest.scenario.settings.model_dump(mode="json")
    target = manifest.target.model_dump(mode="json", exclude=_NAMED_BEFORE)
    return {
        **(traffic_of(manifest.scenario) | {"phases": None}),
        **{f"settings.{name}": value for name, value in settings.items()},
        **{f"target.{name}": value for name, value in target.items()},
        USERS_CODE: manifest.versions.get(USERS_CODE),
        "machine": machine_of(manifest),
    }
