"""The backup drill passes, and would notice failures."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from drills.backup import Observed, report
from drills.payers import Payment
from payments_api.backups.manifest import HashedFile, Manifest
from tests.commands import ROOT

BEGAN = datetime(2026, 3, 1, 3, tzinfo=UTC)


def payment(number: int, *, after_s: float = -10.0, took_s: float = 0.01, **changes: Any) -> Payment:
    """A payment acknowledged this long after the backup began."""
    return Payment(number / 10, took_s, BEGAN.timestamp() + after_s, f"id-{number}", "201")._replace(**changes)


def observed(payments: list[Payment], *, restored_ids: set[str] | None = None) -> Observed:
    file = HashedFile(bytes=1_000_000, sha256="0" * 64)
    manifest = Manifest(
        name="ledger-20260301T030000.000Z-00000000",
        created_at=BEGAN,
        schema_version=1,
        sqlite="3",
        payload=file,
        database=file,
        contents={"transactions": 9},
    )
    return Observed(
        payments=payments,
        phases={"calm": (0.0, 1.0), "backed up": (1.0, 2.0), "calm after": (2.0, 3.0)},
        backups=[(manifest, 0.5)],
        restored_s=2.0,
        restored_ids={one.id for one in payments if one.id} if restored_ids is None else restored_ids,
    )


THIRTY = [payment(number) for number in range(30)]


def test_a_drill_without_a_loss_passes():
    """Payments made after the backup began may be missing."""
    late = [payment(number, after_s=1.0) for number in range(20, 30)]
    lines, is_passed = report(observed(THIRTY[:20] + late, restored_ids={one.id for one in THIRTY[:20]}))
    assert is_passed
    assert lines[-1] == "PASS: every payment that was acknowledged before the backup began is there"
    assert "  of them restored     20" in lines
    assert "  backed up                   10      10.0      10.0      10.0" in lines


FAILURES = {
    "1 acknowledged payments are lost, the first id-7": lambda: observed(
        THIRTY, restored_ids={one.id for one in THIRTY} - {"id-7"}
    ),
    "1 of 30 payments failed, the first with 500": lambda: observed([*THIRTY[:29], payment(29, id="", answer="500")]),
    "the slowest is 1.50 s while backed up; 1.00 s are allowed": lambda: observed(
        [*THIRTY[:15], payment(15, took_s=1.5), *THIRTY[16:]]
    ),
    "the p50 is 0.15 s while backed up; 0.10 s are allowed": lambda: observed(
        [*THIRTY[:10], *(payment(number, took_s=0.15) for number in range(10, 20)), *THIRTY[20:]]
    ),
    "the p99 is 0.89 s while backed up; 0.50 s are allowed": lambda: observed(
        [*THIRTY[:18], *(payment(number, took_s=0.893) for number in (18, 19)), *THIRTY[20:]]
    ),
    "no payments while calm: nothing is proven": lambda: observed(THIRTY[10:]),
    "no payment was acknowledged before the backup began: nothing is proven": lambda: observed(
        [payment(number, after_s=1.0) for number in range(30)]
    ),
}


@pytest.mark.parametrize("line", FAILURES)
def test_a_failure_is_named(line):
    """One case of each kind."""
    lines, is_passed = report(FAILURES[line]())
    assert not is_passed
    assert f"FAIL: {line}" in lines
    assert not any(one.startswith("PASS") for one in lines)


def test_a_failed_backup_fails_the_drill():
    """With its own error message."""
    lines, is_passed = report(Observed(payments=THIRTY, phases={"calm": (0.0, 9.0)}, errors=["place: full; see to it"]))
    assert not is_passed
    assert "FAIL: place: full; see to it" in lines


def test_a_machine_that_is_slow_anyway_is_no_stall():
    """Up to three times the calm phase's time is allowed."""
    slow = [payment(number, took_s=0.6) for number in range(10)] + [
        payment(number, took_s=1.7) for number in range(10, 30)
    ]
    assert report(observed(slow))[1]


@pytest.mark.long
@pytest.mark.process
def test_a_short_drill_passes():
    """With the real API, under load."""
    done = subprocess.run(
        [sys.executable, "-m", "drills.backup", "--seconds", "4", "--rate", "40", "--payments", "2000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "  of them lost         0\n" in done.stdout
    assert done.stdout.endswith("PASS: every payment that was acknowledged before the backup began is there\n")
