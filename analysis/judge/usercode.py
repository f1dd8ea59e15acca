"""Findings about users' own code: exceptions, request names, unreported outcomes, requests to other hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.judge.finding import Finding
from loadproof.analysis.word import Word
from loadproof.outcome import SETUP
from loadproof.rundir.rows import ELSEWHERE, LISTENER_RAISED, MOST_NAMES, OTHERS, UNREPORTED
from loadproof.scenario.strict import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.analysis.frames.run import Run

MOST_RAISED: Final = 0.01
"""Exceptions in users' own code as a share of requests sent, or failed setup requests as a share of all of them."""
FIX_USERS: Final = "fix the locustfile; locust_exceptions.csv has the tracebacks"


def raised(run: Run) -> Iterator[Finding]:
    """Exceptions in users' own code; a task cut short sends less than intended, so many of them change the load."""
    times = sum(raised.times for raised in run.raised)
    if not times:
        return
    first = run.raised[0]
    where = f" ({first.place})" if first.place else ""
    what = f"the users' own code raised {times:,} exceptions, most often {first.message or 'one without text'}{where}"
    sent = tally(run.intervals).sent
    ended = sum(raised.times for raised in run.raised if not raised.message.startswith(LISTENER_RAISED))
    word = Word.INCONCLUSIVE if ended > MOST_RAISED * sent else Word.PASS
    yield Finding(word, what, FIX_USERS)


def wrong_names(run: Run) -> Iterator[Finding]:
    """Thresholds on names that no request of a locustfile had, and too many names: both are only known afterwards."""
    scenario = run.manifest.scenario
    if scenario.locustfile is None:
        return
    known = [*scenario.mix, *scenario.endpoints]
    read = {name: None for threshold in scenario.thresholds for name in scenario.endpoints_of(threshold)}
    for name in read:
        if known and name not in known:
            what = f"a threshold reads {name}, but no request of the plan had that name"
            yield Finding(Word.INCONCLUSIVE, what, nearest(name, known))
    if any(name.endswith(f" {OTHERS}") for name in scenario.endpoints):
        what = f"there were more than {MOST_NAMES:,} request names: the rest share one row, `{OTHERS}`"
        yield Finding.note(what, "give requests that differ only by an id in the path the same `name=`")


def unreported(run: Run) -> Iterator[Finding]:
    """Requests whose outcome was never reported, so nobody knows whether they were good."""
    cells = run.intervals
    times = int(cells.loc[cells["series"] == UNREPORTED, "count"].sum())
    if times:
        what = f"the locustfile's users never reported the outcome of {times:,} request{'s' if times > 1 else ''}"
        # Even a few may be all that a threshold on rare errors allows.
        word = Word.INVALID if times > MOST_RAISED * (times + tally(cells).sent) else Word.INCONCLUSIVE
        if run.raised:
            # The exceptions may be the cause, so fix them first.
            what += f", and their code raised {run.raised[0].message or 'exceptions'}"
            yield Finding(word, what, FIX_USERS)
        else:
            remedy = (
                "use `catch_response=True` in a `with` block that runs to its end, and set `response_time` on each "
            )
            yield Finding(word, what, f"{remedy}event that your own client fires")


def sent_elsewhere(run: Run) -> Iterator[Finding]:
    """Requests to other hosts: thresholds read the answers of all hosts, so most should be the target's."""
    cells = run.intervals[run.intervals["phase"] != SETUP]
    times, sent = int(cells.loc[cells["series"] == ELSEWHERE, "count"].sum()), tally(cells).sent
    if not times:
        return
    what = f"{times:,} of {sent:,} requests went to other addresses than the target's, {run.manifest.target.address}"
    remedy = "use paths instead of whole URLs, or make the host that you want to judge the target"
    if times >= sent:
        yield Finding(Word.INVALID, what, remedy)
    elif times > sent / 2:
        what += ": most of what the thresholds measure says nothing about it"
        remedy += "; to judge several hosts, run one at a time, with tags or a `weight` of 0"
        yield Finding(Word.INCONCLUSIVE, what, remedy)
    else:
        yield Finding.note(what, remedy, qualifies=True)
