"""When trouble begins, and when it is over."""

from __future__ import annotations

from payments_api.alerts.conditions import FEWEST_ERRORS, Condition, ErrorRatio


def test_a_condition_begins_at_once_and_ends_after_a_calm_period():
    condition = Condition("disk", calm_s=60)
    looks = [("", 0), ("full", 10), ("full", 20), ("", 30), ("", 79.9), ("", 80), ("", 90)]
    assert [condition.look(trouble, now_s) for trouble, now_s in looks] == [None, True, None, None, None, False, None]


def test_trouble_that_comes_and_goes_is_one_incident():
    """Each check that finds trouble restarts the calm period."""
    condition = Condition("stall", calm_s=60)
    changes = [condition.look("wrong" if now_s % 50 == 0 else "", now_s) for now_s in range(0, 1000, 10)]
    assert changes.count(True) == 1
    assert changes.count(False) == 0


def ratio(*looks: tuple[float, int, int], highest: float = 0.05, window_s: float = 60.0) -> str:
    """The trouble after looks of (seconds, answers, errors)."""
    counting = ErrorRatio(highest=highest, window_s=window_s)
    return [counting.trouble(answers, errors, now_s) for now_s, answers, errors in looks][-1]


def test_errors_above_the_ratio_are_trouble_and_its_numbers_are_given():
    assert ratio((0, 0, 0), (30, 200, 20)) == "20 of 200 answers in 30 s were 5xx (10%)"


def test_errors_at_the_ratio_are_no_trouble():
    assert ratio((0, 0, 0), (30, 200, 10)) == ""
    assert ratio((0, 0, 0), (30, 200, 11)) != ""


def test_a_few_errors_are_no_trouble_however_large_their_share():
    assert ratio((0, 0, 0), (30, FEWEST_ERRORS - 1, FEWEST_ERRORS - 1)) == ""
    assert ratio((0, 0, 0), (30, FEWEST_ERRORS, FEWEST_ERRORS)) != ""


def test_errors_older_than_the_window_do_not_count():
    """Errors in the first ten seconds, then only good answers."""
    before = [(0.0, 0, 0), (10.0, 100, 100)]
    assert ratio(*before, (60.0, 1000, 100)) != ""
    assert ratio(*before, (69.0, 1000, 100), (71.0, 1200, 100)) == ""


def test_errors_before_the_first_look_do_not_count():
    assert ratio((0, 1000, 1000), (5, 1001, 1000)) == ""


def test_no_answers_at_all_are_no_trouble():
    assert ratio((0, 10, 10), (100, 10, 10), (200, 10, 10)) == ""


def test_no_errors_are_no_trouble_even_if_none_are_allowed():
    assert ratio((0, 0, 0), (10, 500, 0), highest=0.0) == ""
