"""Requests count for the right client and endpoint."""

from __future__ import annotations

import pytest

from tests.payments_api.mutants.breaking import is_broken_by, running_api

LIMIT = {"LIMIT_HEALTH": "2/min"}


async def others_cost_nothing(directory) -> bool:
    async with running_api(directory, **LIMIT) as api:
        return await api.statuses(*["/health"] * 2) + await api.statuses("/health", client="127.0.0.2") == [200] * 3


async def a_crowd_hides_nobody(directory) -> bool:
    async with running_api(directory, **LIMIT) as api:
        await api.statuses(*["/health"] * 2)
        for number in range(200):
            await api.ask("/health", f"127.0.1.{number}")
        return (await api.ask("/health")).status == 429


async def another_spelling_is_no_other_path(directory) -> bool:
    async with running_api(directory, **LIMIT) as api:
        return (await api.statuses("/health", "/health?1", "/health?2"))[-1] == 429


async def head_counts(directory) -> bool:
    async with running_api(directory, **LIMIT) as api:
        return (await api.statuses(*["/health"] * 3, method="HEAD"))[-1] == 429


async def a_strangers_header_is_not_believed(directory) -> bool:
    async with running_api(directory, **LIMIT) as api:
        asked = [await api.ask("/health", x_forwarded_for=f"10.0.0.{number}, 10.1.1.1") for number in range(3)]
        return [answer.status for answer in asked] == [200, 200, 429]


PROMISES = {
    "key-global": others_cost_nothing,
    "clients-forgotten": a_crowd_hides_nobody,
    "key-by-url": another_spelling_is_no_other_path,
    "head-not-counted": head_counts,
    "leftmost-forwarded": a_strangers_header_is_not_believed,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROMISES)
def test_clients_are_counted_correctly_but_for_the_mutant(name, tmp_path, monkeypatch):
    number = 8 if name == "clients-forgotten" else None
    assert is_broken_by(name, PROMISES[name], tmp_path, monkeypatch, number=number)


def test_the_mutant_that_does_not_count_head_answers_it(tmp_path, monkeypatch):
    """With what GET would say, so that the client gains something from it."""

    async def is_not_answered(directory) -> bool:
        async with running_api(directory, **LIMIT) as api:
            return await api.statuses(*["/health"] * 4, method="HEAD") != [200] * 4

    assert is_broken_by("head-not-counted", is_not_answered, tmp_path, monkeypatch)
