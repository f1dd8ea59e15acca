"""What a duel's report says about how it was run."""

from __future__ import annotations

import pytest

from loadproof.analysis.compare.duel.findings import findings_of, unaudited
from loadproof.analysis.word import Word
from loadproof.rundir.duel import DuelRun, write_duel
from simulation.rundirs import scenario
from tests.planned import PLANNED


def held(*, invalid=(), **update):
    """A duel with this many runs of each side, some of them repeated."""
    runs = [
        DuelRun(run=f"{turn.side}/{number}", side=turn.side, block=turn.block)
        for number, turn in enumerate(PLANNED.turns)
    ]
    runs += [DuelRun(run=f"candidate/x{why}", side="candidate", block=2, invalid=why) for why in invalid]
    return PLANNED.model_copy(update={"ending": "decided", "reason": "all is well", "runs": tuple(runs), **update})


def told(duel, reports):
    return [(finding.word, finding.what) for finding in findings_of(duel, reports / "this one")]


def test_a_decided_duel_reports_its_looks_and_unknown_false_alarm_rate(tmp_path):
    """As notes: they decide nothing."""
    found = told(held(), tmp_path)
    assert {word for word, _ in found} == {Word.PASS}
    how, rate = (what for _, what in found)
    assert how == "6 runs of each side in ABBA blocks; looks after 4, 6 of each were fixed beforehand"
    assert next(findings_of(held(), tmp_path / "this one")).remedy == "it ended because all is well"
    assert "is not known yet" in rate


def test_audits_are_said_to_be_no_part_of_a_duel():
    """A note to be read with the result; without audits there is none."""
    audited = scenario(thresholds=[{"audit": "ledger"}, {"expect": "goodput_ratio >= 99 %"}])
    (finding,) = unaudited(audited)
    assert (finding.word, finding.what) == (Word.PASS, "audits are not part of a duel (ledger)")
    assert not [*unaudited(scenario())]


def test_repeated_runs_and_a_quick_duel_are_reported(tmp_path):
    """With the last reason."""
    found = [*findings_of(held(invalid=["starved", "stolen"], is_quick=True), tmp_path / "this one")]
    assert "2 of 14 runs were INVALID and don't count" in [finding.what for finding in found]
    assert any("the last was INVALID because stolen" in finding.remedy for finding in found)
    assert any("a quick duel" in finding.what for finding in found)


def test_a_change_in_a_duel_of_equals_is_called_a_false_alarm(tmp_path):
    """And counts in all later reports."""
    (tmp_path / "one").mkdir()
    equal = held(kind="aa", changed=2)
    write_duel(tmp_path / "one", equal)
    assert any(
        what.endswith("2 rows are called changed, all of them false alarms") for _, what in told(equal, tmp_path)
    )
    quiet = held(kind="aa", changed=0)
    assert any(what.endswith("no row is called changed: no false alarm") for _, what in told(quiet, tmp_path))
    assert any(what.startswith("1 of 1 duel of equals") for _, what in told(held(), tmp_path))


@pytest.mark.parametrize(
    ("update", "word"),
    [
        ({"ending": "died"}, Word.FAIL),
        ({"ending": "died", "kind": "aa"}, Word.INVALID),
        ({"ending": "unmeasured"}, Word.INVALID),
        ({"ending": "interrupted"}, Word.INCONCLUSIVE),
        ({"ending": "terminated"}, Word.INCONCLUSIVE),
    ],
)
def test_an_undecided_duel_has_the_verdict_of_its_ending(tmp_path, update, word):
    """A candidate that died is a fact about it; a baseline that died says nothing about the candidate."""
    found = told(held(invalid=["it died"], reason="it ended", **update), tmp_path)
    how = f"the duel was {update['ending']} (it ended)" if word is Word.INCONCLUSIVE else "it ended"
    assert (word, f"{how} after 12 valid runs: not decided at any look") in found
    assert not any("ABBA" in what for _, what in found)


def test_a_baseline_that_died_says_nothing_about_the_candidate(tmp_path):
    """INVALID."""
    died = DuelRun(run="baseline/x", side="baseline", block=0, invalid="gone")
    found = told(held(ending="died", reason="the baseline died", runs=(died,)), tmp_path)
    assert found[0] == (Word.INVALID, "the baseline died after 0 valid runs: not decided at any look")
