"""A run is watched by a clock that nobody sets."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from loadproof.recording.announcements import Begun
from loadproof.run.watching.watch import Surroundings, Watch
from loadproof.rundir import files
from simulation.rundirs import manifest, scenario


def test_events_are_timed_without_the_wall_clock(tmp_path):
    """It is set forward by five seconds, six seconds after the run's second 0 was fixed."""
    now = SimpleNamespace(s=100.0, unix_s=1_000_000.0)
    around = Surroundings()
    around.now_s, around.unix_s = (lambda: now.s), (lambda: now.unix_s)
    around.sampler = lambda *_: SimpleNamespace(start=lambda: None, stop=lambda: None, trouble=None)
    pipe, other = os.pipe()
    generator = SimpleNamespace(pipe=pipe, wait_s=0)
    watch = Watch(tmp_path, manifest(scenario()), generator=generator, target=None, broken=None, around=around)
    watch._begin(Begun(1_000_001.0, 1))
    now.s, now.unix_s = now.s + 6, now.unix_s + 6 + 5
    watch._note("test", "")
    os.close(other)
    os.close(pipe)
    last = (tmp_path / files.EVENTS).read_text().splitlines()[-1]
    assert float(last.split(",")[0]) == pytest.approx(5.0)
