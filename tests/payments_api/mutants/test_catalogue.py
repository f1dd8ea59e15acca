"""Every mutant is one classic fault: named, explained in a sentence, short, and shown to break its promise."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from payments_api.mutants.catalogue import MUTANTS, PROMISES

NAMES = """
quota-plus-one quota-race quota-expiry-renewed fixed-called-moving key-global clients-forgotten key-by-url
head-not-counted leftmost-forwarded memory-on-two-processes retry-after-floor retry-after-constant retry-after-negative
penalty-not-doubled penalty-uncapped penalty-kept lists-after-limits bots-before-allow work-before-limit
redis-no-timeout redis-fail-open balance-race stale-cache acknowledged-before-commit key-outside-transaction commit-lost
check-then-insert webhook-by-body webhook-marked-first webhook-signature-remembered backup-without-log
backup-stepped restore-skips-newest
"""


def test_each_promise_has_a_mutant():
    """In the order of the rows, so that the catalogue reads like the matrix."""
    rows = [mutant.row for mutant in MUTANTS.values()]
    assert list(MUTANTS) == NAMES.split()
    assert rows == sorted(rows)
    assert set(rows) == set(PROMISES) == set(range(1, 16))


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_short_and_says_in_a_sentence_what_it_breaks(name):
    mutant = MUTANTS[name]
    assert len(inspect.getsource(mutant.fault).splitlines()) <= 25
    assert mutant.breaks.endswith(".")
    assert "\n" not in mutant.breaks
    assert set(mutant.also) <= set(PROMISES) - {mutant.row}
    assert all(mutant.also.values())


def test_each_mutant_is_shown_to_break_its_promise():
    """By a test in this directory, which names it."""
    beside = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py") if file != Path(__file__))
    assert [name for name in MUTANTS if f'"{name}"' not in beside] == []
