"""Retry-After and penalties: base 1 s, doubled up to 4 s, forgotten after 60 s."""

from __future__ import annotations

import time

import pytest

from tests.payments_api.mutants.breaking import is_broken_by, running_api

RULE = {"PENALTY_BASE": "1", "PENALTY_FACTOR": "2", "PENALTY_CAP": "4", "PENALTY_MEMORY": "60"}


async def retry_after_is_the_wait_rounded_up(directory) -> bool:
    """For a refusal within a second of the first request, which takes several tries on a busy machine."""
    for _ in range(20):
        async with running_api(directory, LIMIT_HEALTH="1/min") as api:
            began_s = time.monotonic()
            await api.ask("/health")
            refused = await api.ask("/health")
            if time.monotonic() - began_s < 1:
                return refused.headers["retry-after"] == "60"
    raise TimeoutError("no two requests within a second")


def course_of(*quiet_s: float, expected: list[float]):
    """A promise: violations after these quiet times cost the expected penalties, in seconds."""

    async def is_as_expected(directory) -> bool:
        async with running_api(directory, **RULE) as api:
            punished = api.protection.limits._store.penalties
            now_s, found = 1_000.0, []
            punished._clock = lambda: now_s
            for seconds in quiet_s:
                now_s += seconds
                found.append(punished.punish("client", 0.0))
                now_s += found[-1]
        return found == expected

    return is_as_expected


PROMISES = {
    "retry-after-floor": retry_after_is_the_wait_rounded_up,
    "retry-after-constant": retry_after_is_the_wait_rounded_up,
    "retry-after-negative": retry_after_is_the_wait_rounded_up,
    "penalty-not-doubled": course_of(1, 1, expected=[1, 2]),
    "penalty-uncapped": course_of(1, 1, 1, 1, expected=[1, 2, 4, 4]),
    "penalty-kept": course_of(1, 1, 130, expected=[1, 2, 1]),
}


@pytest.mark.parametrize("name", PROMISES)
def test_waits_are_right_but_for_the_mutant(name, tmp_path, monkeypatch):
    assert is_broken_by(name, PROMISES[name], tmp_path, monkeypatch)
