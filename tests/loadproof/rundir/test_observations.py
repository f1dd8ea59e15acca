"""Observations come back as they were written, with times from the run's start."""

from __future__ import annotations

from dataclasses import replace

from loadproof.rundir import files
from loadproof.rundir.observations import Observation, append_observations, read_observations

START_S = 1_795_413_600.0
SEEN = Observation(
    "payments",
    "after",
    "127.1.0.9",
    sent_us=1_795_413_600_500_000,
    ended_us=1_795_413_600_700_001,
    status=200,
    outcome="ok",
    asked={"account": "a"},
    said={"payments": [{"payment": "p", "amount": 5}]},
)


def test_appended_observations_are_read_back(tmp_path):
    """Member by member; a torn one, and lines that aren't observations, are skipped."""
    path = tmp_path / files.OBSERVATIONS
    assert list(read_observations(path, START_S)) == []
    append_observations(path, [SEEN, SEEN])
    append_observations(path, [replace(SEEN, trouble="the run was stopped")])
    append_observations(path, [])
    seen = list(read_observations(path, START_S))
    assert seen[0] == replace(SEEN, sent_us=500_000, ended_us=700_001)
    assert [each.trouble for each in seen] == ["", "", "the run was stopped"]
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert len(list(read_observations(path, START_S))) in {2, 3}


def test_secrets_are_masked(tmp_path):
    """In whatever a target answers."""
    path = tmp_path / files.OBSERVATIONS
    append_observations(
        path, [replace(SEEN, said={"payment": "s3cret"})], lambda text: text.replace("s3cret", "${KEY}")
    )
    assert [seen.said for seen in read_observations(path, START_S)] == [{"payment": "${KEY}"}]
