"""The server whose log benchmarks rely on: it logs what it read and wrote, and follows its script."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import requests

from bench.truth import Script, quantiles_of
from loadproof import variables
from loadproof.run.experiments.truthserver import after_a_stop, delays_s
from tests.commands import ROOT


@pytest.mark.process
def test_each_request_is_logged_with_the_times_of_reading_and_answering(tmp_path):
    """Both within the times that the client saw; only balance requests are logged."""
    log = tmp_path / "log.npy"
    command = [sys.executable, "-m", "loadproof.run.experiments.truthserver", "lognormal", "1", str(log)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        with requests.Session() as session:
            assert session.get(f"{url}/metrics", timeout=5).status_code == 404
            seen = []
            for _ in range(5):
                sent_s = time.time()
                assert session.get(f"{url}/balance/acct-7", timeout=5).json()["account"] == "acct-7"
                seen.append((sent_s, time.time()))
        server.terminate()
        assert server.wait(10) == 0
    times = np.load(log)
    assert times.shape == (5, 2)
    for (sent_s, received_s), (read_s, written_s) in zip(seen, times, strict=True):
        assert sent_s <= read_s <= written_s <= received_s
    expected = [delay for delay, _ in zip(delays_s("lognormal", 1), range(5), strict=False)]
    assert ((times[:, 1] - times[:, 0]) >= np.array(expected) - 0.001).all()


@pytest.mark.parametrize(
    ("due_s", "answered_s"), [(17.9, 17.9), (18.1, 20.0), (19.9, 20.0), (20.1, 20.1), (38.5, 40.0)]
)
def test_nothing_is_answered_in_the_last_2_of_each_20_s(due_s, answered_s):
    """Counted from the first request."""
    assert after_a_stop(1000 + due_s, 1000.0) == pytest.approx(1000 + answered_s)


def test_a_quantile_is_the_smallest_value_that_enough_others_dont_exceed():
    """As in the histograms that they are compared with."""
    assert quantiles_of(np.arange(1.0, 1001.0)) == {0.5: 500, 0.9: 900, 0.95: 950, 0.99: 990, 0.999: 999}
    assert Script("x", 1, 1).gaps == ()


@pytest.mark.process
def test_it_ends_with_its_parent(tmp_path):
    """Even if the parent is gone before the server can look: another parent isn't accepted."""
    command = [sys.executable, "-m", "loadproof.run.experiments.truthserver", "none", "1", str(tmp_path / "log.npy")]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, variables.PARENT: "1"}, check=False, timeout=20)
    assert done.returncode == 0
