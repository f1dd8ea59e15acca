"""The drill of alerts, in short."""

from __future__ import annotations

import pytest

from drills import alerts


@pytest.mark.process
@pytest.mark.long
def test_an_incident_is_told_once_and_its_end_once(capsys):
    code = alerts.main(["--short"])
    text = capsys.readouterr().out
    assert code == 0, text
    assert "database-unreadable: recovered after" in text
    assert "BROKEN" not in text


def test_a_broken_promise_is_exit_code_1_in_the_end(capsys):
    report = alerts.Report()
    report.promise("kept", kept=True)
    assert report.is_kept
    report.promise("broken", kept=False)
    report.promise("kept again", kept=True)
    assert not report.is_kept
    assert "BROKEN" in capsys.readouterr().out
