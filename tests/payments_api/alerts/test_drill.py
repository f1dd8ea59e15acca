"""The alert drill, in its short form."""

from __future__ import annotations

import pytest

from drills import alerts


@pytest.mark.process
@pytest.mark.long
def test_the_drill_passes_with_one_message_per_incident_and_one_for_its_end(capsys):
    code = alerts.main(["--short"])
    text = capsys.readouterr().out
    assert code == 0, text
    assert "database-unreadable: recovered after" in text
    assert "BROKEN" not in text


def test_a_broken_promise_fails_the_drill_even_if_a_later_one_is_kept(capsys):
    report = alerts.Report()
    report.promise("kept", kept=True)
    assert report.is_kept
    report.promise("broken", kept=False)
    report.promise("kept again", kept=True)
    assert not report.is_kept
    assert "BROKEN" in capsys.readouterr().out
