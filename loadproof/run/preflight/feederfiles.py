"""Finds feeders whose files can't supply the rows that a scenario's users will take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadproof.errors import InputError, Problem
from loadproof.plan.clients import highest_client_index
from loadproof.scenario.traffic.feeder import read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from loadproof.scenario.scenario import Scenario


def feeder_problems(
    scenario: Scenario, directory: Path, expected: Mapping[tuple[str, str], float], *, where: str
) -> Iterator[Problem]:
    """Files that can't be read or have too few rows; `expected` has the number of requests by (phase, endpoint)."""
    if not scenario.feeders:
        return
    clients = highest_client_index(scenario) + 1
    # The kind of users that takes rows isn't known here; any kind takes at least this many turns.
    turns = min(
        sum(expected.get((phase.name, scenario.requests_of(kind)[0]), 0.0) for phase in scenario.phases)
        for kind in scenario.mix
    )
    for name, feeder in scenario.feeders.items():
        try:
            rows = len(read_rows(directory / feeder.file))
        except InputError as error:
            yield from error.problems
            continue
        place = f"{where} feeders.{name}"
        if feeder.order == "unique" and rows < clients:
            what = f"too few rows for {clients:,} clients that need one each"
            yield Problem(place, what, "add rows, or plan fewer users", got=f"{rows:,}")
        elif feeder.runs_out and rows < turns:
            what = f"too few rows for {turns:,.0f} turns that take one each"
            yield Problem(place, what, "add rows, or say `at_end: again`", got=f"{rows:,}")
