"""What duels of equals found, counted with the uncertainty."""

from __future__ import annotations

import pytest
from scipy import stats

from loadproof.analysis.compare.duel.falsealarms import FalseAlarms, false_alarms
from loadproof.rundir.duel import write_duel
from tests.planned import PLANNED


def test_their_share_has_its_exact_interval():
    """Clopper and Pearson's, including both ends."""
    for found, duels in ((0, 1), (0, 40), (3, 40), (2, 2)):
        alarms = FalseAlarms(found, duels)
        exact = stats.binomtest(found, duels).proportion_ci(method="exact")
        assert (alarms.low, alarms.high) == pytest.approx((exact.low, exact.high))
    assert str(FalseAlarms(0, 1)) == "0 of 1 duel of equals on this machine found a change (95 % interval 0 % to 98 %)"


def test_only_decided_duels_of_equals_of_this_scenario_and_machine_count(tmp_path):
    """Neither an interrupted one nor an invalid file."""
    equal = PLANNED.model_copy(update={"kind": "aa", "changed": 0})
    others = (
        {"changed": 2},
        {},
        {"changed": None},
        {"scenario": "other"},
        {"is_duet": True},
        {"machine": "another"},
        {"kind": "duel", "changed": 1},
    )
    for number, update in enumerate(others):
        (tmp_path / str(number)).mkdir()
        write_duel(tmp_path / str(number), equal.model_copy(update=update))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/duel.json").write_text("{")
    found = false_alarms(tmp_path, PLANNED)
    assert (found.found, found.duels) == (1, 2)
