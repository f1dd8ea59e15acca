"""The choice of the latest backup, even if a clock was wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from payments_api.backups import commands
from payments_api.backups.restoring import choose
from payments_api.backups.storage.places import DirectoryPlace
from tests.payments_api.backups.books import back_up, changed

NOW = datetime.now(UTC)
YEAR = timedelta(days=365)


@pytest.fixture
def unnumbered(ledger):
    """A ledger of a version without ids, whose backups only have dates."""
    with changed(ledger) as opened:
        opened.execute("DROP TABLE identity")
    return ledger


def chosen(place) -> tuple[str, list[str]]:
    said: list[str] = []
    return choose(DirectoryPlace(place), None, now=NOW, tell=said.append).text, said


def taken(database, place, after: timedelta) -> str:
    return back_up(database, place, now=lambda: NOW + after).manifest.name


def test_the_backup_taken_last_is_the_latest_even_if_a_clock_was_ahead_before(ledger, place):
    """According to its number."""
    taken(ledger, place, YEAR)
    latest = [taken(ledger, place, timedelta(minutes=minute)) for minute in range(5)][-1]
    assert chosen(place) == (latest, [])


def test_a_numbered_backup_dated_in_the_future_is_the_latest_until_the_next(ledger, place):
    """It contains what no other does; the wrong date is reported."""
    taken(ledger, place, -YEAR)
    ahead = taken(ledger, place, YEAR)
    assert chosen(place) == (ahead, [f"{ahead}: is dated in the future; it is the latest by its number"])


def test_without_numbers_a_backup_dated_in_the_future_is_skipped_and_reported(unnumbered, place):
    """Five minutes are tolerated, since clocks differ."""
    ahead = [taken(unnumbered, place, YEAR), taken(unnumbered, place, timedelta(minutes=5, seconds=1))]
    latest = taken(unnumbered, place, timedelta(minutes=5))
    taken(unnumbered, place, timedelta())
    skipped = ", ".join(ahead)
    line = f"{skipped}: dated in the future, and skipped; to use one anyway, name it"
    assert chosen(place) == (latest, [line])


def test_if_all_backups_are_dated_in_the_future_the_latest_is_chosen(unnumbered, place):
    """Better than none, in case our own clock is wrong."""
    taken(unnumbered, place, YEAR)
    latest = taken(unnumbered, place, 2 * YEAR)
    assert chosen(place)[0] == latest


def test_verify_reports_skipped_backups(unnumbered, place, capsys):
    """On standard error."""
    ahead, good = taken(unnumbered, place, YEAR), taken(unnumbered, place, timedelta())
    assert commands.main(["verify", "--from", str(place)]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{good} is good: ")
    assert captured.err.startswith(f"{ahead}: dated in the future, and skipped; ")
