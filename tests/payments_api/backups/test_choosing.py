"""Which backup is the latest, whatever a clock once said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from payments_api.backups import commands
from payments_api.backups.places import DirectoryPlace
from payments_api.backups.restoring import choose
from tests.payments_api.backups.books import back_up, changed

NOW = datetime.now(UTC)
YEAR = timedelta(days=365)


@pytest.fixture
def unnumbered(ledger):
    """A ledger as a version without ids left it: dates are all there is."""
    with changed(ledger) as opened:
        opened.execute("DROP TABLE identity")
    return ledger


def chosen(place) -> tuple[str, list[str]]:
    said: list[str] = []
    return choose(DirectoryPlace(place), None, now=NOW, tell=said.append).text, said


def taken(database, place, after: timedelta) -> str:
    return back_up(database, place, now=lambda: NOW + after).manifest.name


def test_after_a_clock_that_was_ahead_the_backup_taken_last_is_the_latest(ledger, place):
    """By its number."""
    taken(ledger, place, YEAR)
    latest = [taken(ledger, place, timedelta(minutes=minute)) for minute in range(5)][-1]
    assert chosen(place) == (latest, [])


def test_a_numbered_backup_of_a_clock_that_was_ahead_is_the_latest_until_the_next(ledger, place):
    """It holds what no other does; that its date is wrong is told."""
    taken(ledger, place, -YEAR)
    ahead = taken(ledger, place, YEAR)
    assert chosen(place) == (ahead, [f"{ahead}: is dated in the future; it is the latest by its number"])


def test_without_numbers_what_is_dated_in_the_future_is_passed_over_and_told(unnumbered, place):
    """Five minutes are no future; clocks differ."""
    ahead = [taken(unnumbered, place, YEAR), taken(unnumbered, place, timedelta(minutes=5, seconds=1))]
    latest = taken(unnumbered, place, timedelta(minutes=5))
    taken(unnumbered, place, timedelta())
    skipped = ", ".join(ahead)
    line = f"{skipped}: dated in the future, and skipped; to use one anyway, name it"
    assert chosen(place) == (latest, [line])


def test_where_all_are_dated_in_the_future_the_latest_is_taken(unnumbered, place):
    """Better than none, when it is our clock that is wrong."""
    taken(unnumbered, place, YEAR)
    latest = taken(unnumbered, place, 2 * YEAR)
    assert chosen(place)[0] == latest


def test_verify_tells_what_it_passed_over(unnumbered, place, capsys):
    """On standard error."""
    ahead, good = taken(unnumbered, place, YEAR), taken(unnumbered, place, timedelta())
    assert commands.main(["verify", "--from", str(place)]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{good} is good: ")
    assert captured.err.startswith(f"{ahead}: dated in the future, and skipped; ")
