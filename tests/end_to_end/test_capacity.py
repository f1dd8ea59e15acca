"""`loadproof capacity` against a server of known capacity, and one that goes away."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml

from loadproof.rundir.trials import CAPACITY, read_trials
from simulation.trials import SlotServer, half_rps
from tests.commands import ROOT, Background, loadproof
from tests.loadproof.cli.refusals import refused
from tests.quiet import TRIES, run_when_quiet

pytestmark = [pytest.mark.process, pytest.mark.long]

SLOTS, SERVICE_S, LIMIT_S = 2, 0.02, 0.2
SCENARIO = {
    "name": "slots",
    "model": "open",
    "client_count": 50,
    "deadline": "1 s",
    "timeouts": {"connect": "1 s", "total": "2 s"},
    "mix": {"health": {"share": "100 %"}},
    "phases": [{"name": "steady", "duration": "30 s", "rate": "100 rps"}],
    "thresholds": [{"expect": "p(95) < 200 ms"}, {"expect": "goodput_ratio >= 50 %"}],
}
OPTIONS = ("--quick", "--from", "50", "--to", "200")


@contextmanager
def slot_server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server's process and its base URL, until the end."""
    command = [sys.executable, "-m", "bench.slotserver", str(SLOTS), str(SERVICE_S)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server, f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.terminate()


@pytest.fixture
def files(tmp_path):
    """Scenario and target file; a function that sets the target's address."""
    scenario, target = tmp_path / "slots.yaml", tmp_path / "target.yaml"
    scenario.write_text(yaml.safe_dump(SCENARIO))

    def at(base_url: str):
        target.write_text(yaml.safe_dump({"base_url": base_url}))
        return scenario, "--target", target, "--out", tmp_path / "out"

    return at


def could_not_be_measured(search: Path) -> bool:
    return json.loads((search / CAPACITY).read_text())["verdict"] == "INVALID"


@pytest.mark.quiet
@pytest.mark.timeout(TRIES * 200)
def test_the_capacity_of_a_server_with_slots_is_found(files, tmp_path):
    """Roughly, in a minute and a half, within a tenth of what the server's rule implies for such trials."""
    truth = half_rps(
        SlotServer(np.random.default_rng(1), SLOTS, SERVICE_S, LIMIT_S, warm_up_s=1.0).losses, 3.0, low=80.0, high=130.0
    )
    outputs = []

    def search_once() -> Path:
        before = set((tmp_path / "out").glob("*"))
        # Inside of the try: its CPU time is the test's, not that of others.
        with slot_server() as (_, base_url):
            outputs.append(loadproof("capacity", *files(base_url), *OPTIONS))
        (search,) = set((tmp_path / "out").glob("*")) - before
        return search

    search = run_when_quiet(search_once, wanted=could_not_be_measured)
    assert outputs[-1].returncode == 0, outputs[-1].stdout + outputs[-1].stderr
    assert "It sustains roughly" in outputs[-1].stdout
    found = json.loads((search / CAPACITY).read_text())
    assert found["all_goals"]["relevant_lower_bound"] <= 1.1 * truth
    assert found["all_goals"]["relevant_upper_bound"] >= 0.9 * truth
    assert found["breaks_first"][0] == "p(95) < 200 ms"
    assert found["search"]["ceiling_rps"] >= found["all_goals"]["relevant_upper_bound"]


@pytest.mark.timeout(400)
def test_finished_trials_are_kept_and_not_repeated(files, tmp_path):
    """The search is resumed after an interruption; then the target goes away; then a different search is refused."""
    with slot_server() as (server, base_url):
        arguments = (*files(base_url), *OPTIONS)
        running = Background("capacity", *arguments)
        trials = running.wait_for(tmp_path / "out/*/trials.jsonl", 100)
        directory = trials.parent
        assert running.signalled(signal.SIGINT) == 130, running.output
        assert found_in(directory) == "UNFINISHED"
        before = read_trials(directory)
        running = Background("capacity", *arguments, "--resume", directory)
        running.eventually(lambda: len(read_trials(directory)) > len(before))
        server.kill()
        assert running.end() == 1, running.output
    assert "the target no longer responds" in running.output
    assert found_in(directory) == "TARGET GONE"
    assert read_trials(directory)[: len(before)] == before
    text = refused("capacity", *arguments, "--resume", directory, "--seed", "2")
    assert "--resume seed: the search was begun with 1, got '2'" in text
    assert found_in(directory) == "TARGET GONE"


def found_in(directory: Path) -> str:
    return json.loads((directory / CAPACITY).read_text())["found"]
