"""Turns the options of `loadproof capacity` into the settings of a search, or into all their problems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from loadproof.cli.capacity.resumed import unlike_before
from loadproof.errors import InputError, Problem
from loadproof.plan.decidability import samples_expected
from loadproof.plan.excess import exceeded_limits
from loadproof.plan.phases import expected_requests, plan_phases
from loadproof.plan.trials import PLACES_OF_S, Goal, goals_of, trial_of, unread_by
from loadproof.run.assignment import declared_limits
from loadproof.rundir.trials import FEWEST_REQUESTS, Search, SearchGoal, read_search
from loadproof.scenario.scenario import Threshold
from loadproof.scenario.strict import Strict
from loadproof.scenario.thresholds.vacuous import vacuity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from loadproof.run.assignment import Assignment
    from loadproof.scenario.scenario import Scenario

_TRIAL_S: Final = 10.0
_QUICK_TRIAL_S: Final = 3.0
_SHORTEST_S, _LONGEST_S = 1.0, 600.0
_WARM_UP_S, _QUICK_WARM_UP_S = 2.0, 1.0
_WIDTH, _QUICK_WIDTH = 0.05, 0.10
_EXCEED_RATIO: Final = 0.5
_REPEATS: Final = 10
_MOST_RPS: Final = 100_000.0
_LIMITED_OVER_S: Final = 60.0


@dataclass(frozen=True)
class SearchOptions:
    """The command-line options; None: the default."""

    from_rps: float | None
    to_rps: float | None
    trial_s: float | None
    is_quick: bool
    goals: Sequence[str]


def checked_search(assignment: Assignment, asked: SearchOptions, resumed: Path | None) -> tuple[Search, list[Goal]]:
    """The search and its goals; InputError with all problems.

    `resumed` is the directory of the search to continue, whose settings must be the same.
    """
    before = read_search(resumed) if resumed else None
    scenario, where = assignment.scenario, str(assignment.scenario_file)
    problems = list(_unfit(scenario, where))
    chosen, others = _chosen_goals(scenario, asked.goals, problems)
    if not chosen and not problems:
        what = "no threshold that can judge a trial"
        remedy = "add one like `p(95) < 200 ms` or `goodput_ratio >= 99 %`, or give --goal"
        problems.append(Problem(f"{where} thresholds", what, remedy, got=", ".join(others)))
    elif not problems:
        problems += _kept_by_refusals(scenario, chosen, "--goal" if asked.goals else f"{where} thresholds")
    if problems:
        raise InputError(problems)
    search = _search(assignment, asked, chosen, others)
    problems += [*_range_problems(search, asked), *_scarce_problems(scenario, chosen, search)]
    problems += [] if problems else _limit_problems(assignment, chosen, search)
    if resumed is not None and before is not None:
        problems += [*_differences(before, search), *unlike_before(resumed, assignment, chosen)]
    if problems:
        raise InputError(problems)
    return before or search, chosen


def _unfit(scenario: Scenario, where: str) -> Iterator[Problem]:
    if scenario.model != "open":
        remedy = "use `model: open` with rates, as scenarios/breakpoint.yaml does; for users, `loadproof run` steps"
        what = "capacity is a rate, and users who wait for responses slow down with the target"
        yield Problem(f"{where} model", what, remedy, got=scenario.model)
    if scenario.expect_throttling:
        what = "a search would find the limits, not what the target can take"
        yield Problem(f"{where} expect_throttling", what, "remove it, and turn the limits off", got="true")


def _chosen_goals(scenario: Scenario, texts: Sequence[str], problems: list[Problem]) -> tuple[list[Goal], list[str]]:
    if not texts:
        return goals_of(scenario)
    thresholds = []
    for text in texts:
        try:
            thresholds.append(Threshold(expect=text))
        except ValidationError as error:
            what = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            problems.append(Problem("--goal", what, "write one like 'p(95) < 200 ms'", got=text))
    chosen, others = goals_of(scenario.model_copy(update={"all_thresholds": thresholds}))
    problems += [
        Problem("--goal", "not decided by a share of a trial's requests", "use a quantile or a ratio", got=text)
        for text in others
    ]
    # For a ratio, zero loss is a goal like any other.
    times = [goal.threshold for goal in chosen if not goal.threshold.expectation.metric.kind.is_ratio]
    problems += [
        Problem("--goal", vacuous.what, vacuous.remedy, got=threshold.expect)
        for threshold in times
        if (vacuous := vacuity(threshold.expectation))
    ]
    return chosen, others


def _kept_by_refusals(scenario: Scenario, goals: Sequence[Goal], where: str) -> Iterator[Problem]:
    """Goals that no load can break, and traffic that a target could refuse entirely while meeting every goal."""
    for goal in goals:
        if goal.loss_ratio >= 1:
            yield Problem(where, "can't be violated at any load", "use one that can be violated", got=goal.name)
    if unread := unread_by(scenario, goals):
        what = f"a target that refuses all of {', '.join(unread)} would meet every goal at any load"
        remedy = "add one like `p(95) < 200 ms` or `goodput_ratio >= 99 %`"
        yield Problem(where, what, remedy, got=", ".join(goal.name for goal in goals))


def _search(assignment: Assignment, asked: SearchOptions, goals: Sequence[Goal], others: list[str]) -> Search:
    scenario, is_quick = assignment.scenario, asked.is_quick
    rates = [phase.rate for phase in scenario.phases if phase.rate]
    trial_s = asked.trial_s if asked.trial_s is not None else _QUICK_TRIAL_S if is_quick else _TRIAL_S
    trial_s = round(trial_s, PLACES_OF_S)
    return Search(
        scenario=scenario.name,
        target=assignment.target.base_url if assignment.target else "embedded",
        from_rps=asked.from_rps if asked.from_rps is not None else min(rates) / 2,
        to_rps=asked.to_rps if asked.to_rps is not None else min(4 * max(rates), _MOST_RPS),
        warm_up_s=_QUICK_WARM_UP_S if is_quick else _WARM_UP_S,
        is_quick=is_quick,
        repeats=0 if is_quick else _REPEATS,
        seed=assignment.seed,
        workers=assignment.crew.workers,
        goals=[
            SearchGoal(
                goal=goal.name,
                loss_ratio=goal.loss_ratio,
                exceed_ratio=_EXCEED_RATIO,
                final_trial_s=trial_s,
                # A single trial decides: each costs some seconds of overhead, and repeats around the estimate follow.
                duration_sum_s=trial_s,
                initial_trial_s=trial_s,
                width=_QUICK_WIDTH if is_quick else _WIDTH,
            )
            for goal in goals
        ],
        others=others,
    )


def _range_problems(search: Search, asked: SearchOptions) -> Iterator[Problem]:
    for option, value in (("--from", search.from_rps), ("--to", search.to_rps)):
        if not 0 < value <= _MOST_RPS:
            yield Problem(
                option,
                f"not a load between 0 and {_MOST_RPS:,.0f} rps",
                "choose a rate in this range",
                got=f"{value:g}",
            )
    if search.from_rps >= search.to_rps * (1 - search.goals[0].width):
        got = f"{search.from_rps:g} to {search.to_rps:g} rps"
        yield Problem("--from and --to", "too close together to search between", "widen the range", got=got)
    if not _SHORTEST_S <= search.trial_s <= _LONGEST_S:
        what = f"not between {_SHORTEST_S:g} and {_LONGEST_S:g} s"
        yield Problem("--trial", what, "try 10", got=f"{asked.trial_s:g}")


def _scarce_problems(scenario: Scenario, goals: Sequence[Goal], search: Search) -> Iterator[Problem]:
    """Too few requests in a trial at the lower end, in total or for one goal: a goal without any counts as lost."""
    if not (0 < search.from_rps <= _MOST_RPS and _SHORTEST_S <= search.trial_s <= _LONGEST_S):
        return
    what, remedy = (
        f"a trial at the lower end would have fewer than {FEWEST_REQUESTS} requests",
        "start higher, or give a longer --trial",
    )
    if search.from_rps * search.trial_s < FEWEST_REQUESTS:
        got = f"{search.from_rps:g} rps for {search.trial_s:g} s"
        yield Problem("--from and --trial", what, remedy, got=got)
        return
    trial = trial_of(scenario, goals, load_rps=search.from_rps, warm_up_s=search.warm_up_s, duration_s=search.trial_s)
    expected = expected_requests(trial, plan_phases(trial))
    for goal in goals:
        requests = samples_expected(trial, goal.threshold, expected)
        if round(requests, 6) < FEWEST_REQUESTS:
            yield Problem("--from and --trial", f"{what} for {goal.name}", remedy, got=f"{requests:.3g}")


def _limit_problems(assignment: Assignment, goals: Sequence[Goal], search: Search) -> Iterator[Problem]:
    """Limits that the highest load would exceed: throttling would be mistaken for the end of capacity."""
    limits = declared_limits(assignment.scenario, assignment.target)
    trial = trial_of(
        assignment.scenario,
        goals,
        load_rps=search.to_rps,
        warm_up_s=search.warm_up_s,
        # Your own target still counts the requests of earlier trials.
        duration_s=max(search.trial_s, _LIMITED_OVER_S),
    )
    for excess in exceeded_limits(trial, plan_phases(trial), limits, assignment.seed):
        off = "--set settings.limiter=off" if assignment.target is None else "turn the target's limits off"
        what = f"at {search.to_rps:g} rps a client would exceed the declared limit of {excess.limit}: a search would "
        what += "find the limits, not what the target can take"
        remedy = f"{off}, raise client_count, or lower --to"
        yield Problem(f"{assignment.scenario_file} {excess.endpoint}", what, remedy, got=f"{excess.sent} requests")


def _differences(before: Search, search: Search) -> Iterator[Problem]:
    """Settings that differ from those the search began with."""
    measured = {"ceiling_rps", "ceiling_note"}
    first, now = (one.model_dump(exclude=measured) for one in (before, search))
    for key, value in first.items():
        if now[key] != value:
            remedy = "give the same scenario and options as before, or start over"
            yield Problem(f"--resume {key}", f"the search was begun with {_shown(value)}", remedy, got=_shown(now[key]))


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(one["goal"] if isinstance(one, dict) else str(one) for one in value)
    return value.model_dump_json() if isinstance(value, Strict) else f"{value}"
