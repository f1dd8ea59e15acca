"""Writes a search's result for programs and terminals: capacity.json and its schema, Markdown, a table, its verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from loadproof.analysis.capacity.capacity import Capacity, Found, GoalCapacity
from loadproof.analysis.inert import markdown
from loadproof.analysis.outputs.jsonmodel import JsonModel
from loadproof.analysis.outputs.tables import STYLES
from loadproof.analysis.word import Word
from loadproof.errors import escaped
from loadproof.rundir.trials import FEWEST_REQUESTS, Search, Trial
from loadproof.units import Dimension, counted, format_duration, format_quantity, three_digits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadproof.analysis.estimates.estimate import Estimate

VERDICTS: Final = {
    Found.FOUND: Word.PASS,
    Found.ROUGH: Word.PASS,
    Found.TOO_HIGH: Word.INCONCLUSIVE,
    Found.TOO_LOW: Word.INCONCLUSIVE,
    Found.UNFINISHED: Word.INCONCLUSIVE,
    Found.INVALID: Word.INVALID,
    Found.DIED: Word.FAIL,
}
"""The verdict of each ending for a gate."""
_NEXT: Final = {
    Found.FOUND: "Compare it with the last release's: intervals that don't overlap differ.",
    Found.ROUGH: "For an interval, leave out --quick (about ten minutes), on a machine that does nothing else.",
    Found.TOO_LOW: "Raise --to; if the generator was the limit, add --workers or machines.",
    Found.UNFINISHED: "Continue with --resume and this directory.",
    Found.INVALID: "Free the generator's core, add --workers, or lower --from and --to, then run again.",
    Found.DIED: "Find out why the target stopped, restart it, then continue with --resume and this directory.",
}


class IntervalJson(JsonModel):
    """A load in arrivals per second, with its 95 % interval."""

    value: float
    low: float | None
    """None: not bounded by the trials."""
    high: float | None
    trials: int

    @staticmethod
    def of_half(half: Estimate | None) -> IntervalJson | None:
        if half is None:
            return None
        low, high = (half.low or None, None if math.isinf(half.high) else half.high)
        return IntervalJson(value=half.value, low=low, high=high, trials=half.n)


class GoalJson(JsonModel):
    """Loads in arrivals per second; the attributes of each goal are in `search`."""

    goal: str
    relevant_lower_bound: float | None
    relevant_upper_bound: float | None
    conditional_throughput: float | None
    half_of_trials: IntervalJson | None

    @staticmethod
    def of_goal(goal: GoalCapacity) -> GoalJson:
        return GoalJson(
            goal=goal.goal,
            relevant_lower_bound=goal.lower_rps,
            relevant_upper_bound=goal.upper_rps,
            conditional_throughput=goal.throughput_rps,
            half_of_trials=IntervalJson.of_half(goal.half),
        )


class CapacityJson(JsonModel):
    """capacity.json."""

    format: int = 1
    found: Found
    verdict: Word
    sentence: str
    next_step: str
    estimated: str
    search: Search
    all_goals: GoalJson
    goals: list[GoalJson]
    breaks_first: list[str]
    knee_rps: float | None
    peak_goodput_rps: float | None
    beyond: Trial | None
    invalid_trials: int
    trials: list[Trial]


def capacity_json(search: Search, trials: Sequence[Trial], result: Capacity) -> str:
    return CapacityJson(
        found=result.found,
        verdict=VERDICTS[result.found],
        sentence=sentence_of(result),
        next_step=capacity_next_step(search, result),
        estimated=estimated_text(search, result),
        search=search,
        all_goals=GoalJson.of_goal(result.together),
        goals=[GoalJson.of_goal(goal) for goal in result.goals],
        breaks_first=[goal for goal, _ in result.first],
        knee_rps=result.knee.load_rps if result.knee else None,
        peak_goodput_rps=result.peak.goodput_rps if result.peak else None,
        beyond=result.beyond,
        invalid_trials=result.invalid,
        trials=list(trials),
    ).text()


def capacity_schema() -> dict[str, Any]:
    """The JSON schema of capacity.json."""
    schema = CapacityJson.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "capacity.json"}


def rate(rps: float | None) -> str:
    return "–" if rps is None else format_quantity(rps, Dimension.RATE)


def _range(low: float, high: float) -> str:
    return f"{three_digits(low)} to {three_digits(high)}"


def load_text(half: Estimate | None) -> str:
    """'975 rps (957 to 993)'."""
    if half is None:
        return "–"
    if half.low <= 0 or math.isinf(half.high):
        side = f"up to {three_digits(half.high)}" if half.low <= 0 else f"{three_digits(half.low)} or more"
        return f"about {half.value:,.0f} rps ({side})" if half.low > 0 or math.isfinite(half.high) else "–"
    value = three_digits(half.value)
    return f"{value} rps ({_range(half.low, half.high)})"


def sentence_of(result: Capacity) -> str:
    """The result in one sentence."""
    together = result.together
    if result.found is Found.FOUND:
        return f"It sustains {load_text(together.half)}."
    if result.found is Found.ROUGH and together.lower_rps and together.upper_rps:
        value = result.value_rps or 0.0
        bounds = f"it sustained {rate(together.lower_rps)} but not {rate(together.upper_rps)}"
        return f"It sustains roughly {three_digits(value)} rps: {bounds}. These are bounds, not a confidence interval."
    if result.found is Found.ROUGH:
        return "It sustained some loads and not others, in no clear order: no estimate."
    known = _known_so_far(together) if result.found in {Found.UNFINISHED, Found.DIED} else ""
    return f"Not found: {result.why}.{known}"


def _known_so_far(bound: GoalCapacity) -> str:
    """What the trials so far show: the bounds rather than an estimate, as long as its interval is open."""
    half = bound.half
    is_open = half is None or half.low <= 0 or math.isinf(half.high)
    if is_open and bound.lower_rps and bound.upper_rps:
        return f" By the trials so far, it sustains {rate(bound.lower_rps)} but not {rate(bound.upper_rps)}."
    return f" By the trials so far, it sustains about {three_digits(half.value)} rps." if half is not None else ""


def capacity_next_step(search: Search, result: Capacity) -> str:
    """The next step; suggests longer trials if half the lower end would have too few requests per trial."""
    if result.found is Found.ROUGH and not search.is_quick:
        return "Repeat it on a machine that does nothing else, or with longer trials: the last ones had no clear order."
    if result.found is not Found.TOO_HIGH:
        return _NEXT[result.found]
    is_low = search.from_rps / 2 * search.trial_s < FEWEST_REQUESTS
    longer = f" and longer trials (--trial {2 * search.trial_s:g})" if is_low else ""
    return f"Start lower with --from{longer}, or check with `loadproof run` why the goals fail at this load."


def estimated_text(search: Search, result: Capacity) -> str:
    """A sentence that explains what was estimated."""
    what = f"the load, in arrivals per second, at which half of the trials of {search.trial_s:g} s meet all goals"
    if result.found is Found.FOUND and result.together.half is not None:
        n = result.together.half.n
        return f"Estimated: {what}, from {n} trials, with a 95 % interval by profile likelihood."
    return f"Looked for: {what}."


def facts(search: Search, result: Capacity) -> Iterator[str]:
    """Other results worth knowing, one sentence each."""
    if result.first:
        goals = ", ".join(goal for goal, _ in result.first)
        outcomes = _outcomes([(count, name) for name, count in result.first_outcomes])
        why = f"; the requests that failed: {outcomes}" if outcomes else ""
        yield f"Breaks first: {goals}{why}."
    if result.knee is not None:
        up_to = f"up to {rate(result.knee.load_rps)} offered, goodput keeps up with the load"
        yield f"No knee yet: {up_to}." if result.found is Found.TOO_LOW else f"Knee: {up_to}."
    if result.peak is not None:
        yield f"Peak goodput: {rate(result.peak.goodput_rps)}, at {rate(result.peak.load_rps)} offered."
    if result.together.throughput_rps is not None:
        at = rate(result.together.lower_rps)
        yield f"Conditional throughput (RFC 9971): {rate(result.together.throughput_rps)} of correct responses at {at}."
    if result.beyond is not None:
        yield beyond_text(result.beyond, result.value_rps)
    elif result.found in {Found.FOUND, Found.ROUGH}:
        yield "What happens beyond its capacity is unknown: no valid trial was made there."
    if search.ceiling_rps:
        up_to = "at least " if not search.ceiling_note else ""
        yield f"The generator alone sends {up_to}{rate(search.ceiling_rps)} on time on this machine."
    if result.invalid:
        trials = counted(result.invalid, "trial")
        yield f"{trials} measured the generator instead of the target: repeated, and not counted."
    if search.others:
        yield f"Not part of the search, because a share of requests doesn't decide them: {', '.join(search.others)}."


def beyond_text(trial: Trial, capacity_rps: float | None) -> str:
    """A sentence on what happened in the trial beyond the capacity."""
    more = "" if capacity_rps is None else f", {100 * (trial.load_rps / capacity_rps - 1):.0f} % beyond it"
    head = f"At {rate(trial.load_rps)}{more}"
    if trial.ending != "completed":
        return f"{head}, the target died."
    good = trial.goodput_rps * trial.duration_s / max(trial.offered, 1)
    p95 = f", p95 is {format_duration(trial.p95_s)}" if trial.p95_s is not None else ""
    bad = sorted(((count, name) for name, count in trial.outcomes.items() if name != "ok" and count), reverse=True)
    rest = f"; the rest: {_outcomes(bad)}" if bad else ""
    goodput = f"{format_quantity(good, Dimension.RATIO)} of the load is goodput ({rate(trial.goodput_rps)})"
    return f"{head}, {goodput}{p95}{rest}."


def _outcomes(counts: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for count, name in counts[:3])


def goal_cells(goal: GoalCapacity) -> tuple[str, str, str, str, str]:
    """A row of the table of goals."""
    return goal.goal, load_text(goal.half), rate(goal.lower_rps), rate(goal.upper_rps), rate(goal.throughput_rps)


GOAL_HEAD: Final = ("goal", "half of the trials meet it", "held", "not held", "conditional throughput")


def attributes_text(search: Search) -> Iterator[str]:
    """Every goal's attributes, as RFC 9971 requires of a report."""
    for goal in search.goals:
        yield (
            f"{goal.goal}: loss ratio {format_quantity(goal.loss_ratio, Dimension.RATIO)}, "
            f"exceed ratio {format_quantity(goal.exceed_ratio, Dimension.RATIO)}, "
            f"final trial duration {goal.final_trial_s:g} s, duration sum {goal.duration_sum_s:g} s, "
            f"initial trial duration {goal.initial_trial_s:g} s, width {format_quantity(goal.width, Dimension.RATIO)}"
        )
    yield (
        f"Min load {rate(search.from_rps)}, max load {rate(search.top_rps)}; "
        f"the first {search.warm_up_s:g} s of each trial are discarded."
    )


def capacity_markdown(search: Search, result: Capacity) -> str:
    rows = [result.together, *result.goals]
    lines = [
        f"## Capacity of {markdown(search.scenario)}: {result.found}",
        "",
        f"**{markdown(sentence_of(result))}**  ",
        f"{markdown(estimated_text(search, result))}  ",
        f"**Next:** {markdown(capacity_next_step(search, result))}",
        "",
        f"| {' | '.join(GOAL_HEAD)} |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(map(markdown, goal_cells(goal)))} |" for goal in rows),
        "",
        *(f"- {markdown(fact)}" for fact in facts(search, result)),
        "",
        "Goals (RFC 9971):",
        "",
        *(f"- {markdown(text)}" for text in attributes_text(search)),
        "",
    ]
    return "\n".join(lines)


def capacity_terminal(search: Search, result: Capacity) -> Group:
    table = Table(*GOAL_HEAD)
    for goal in (result.together, *result.goals):
        table.add_row(*(Text(escaped(cell)) for cell in goal_cells(goal)))
    style = STYLES[VERDICTS[result.found]]
    head = Text.assemble((result.found, style), "  ", escaped(sentence_of(result)))
    texts = [estimated_text(search, result), *facts(search, result), f"Next: {capacity_next_step(search, result)}"]
    return Group(head, table, *(Text(escaped(text)) for text in texts))
