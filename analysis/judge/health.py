"""Finds what a run shows besides its thresholds: how it ended, lost requests, what disturbed it, and more.

Each rule is a function of the run that yields its findings; docs/validity.md gives the reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.scope import tally
from loadproof.analysis.frames.bursts import bursts
from loadproof.analysis.frames.faults import faults_in
from loadproof.analysis.judge.cutoff import CUT_SHORT
from loadproof.analysis.judge.disturbance import measured_names
from loadproof.analysis.judge.disturbances import disturbances
from loadproof.analysis.judge.finding import CHECK_LOG, IF_CUT_OFF, REPORT_BUG, RESTORE_RUN, Finding
from loadproof.analysis.judge.journalled import MAY_BE_TORN, journalled
from loadproof.analysis.judge.planned import LOST_SHARE
from loadproof.analysis.judge.thresholds import judge_threshold
from loadproof.analysis.judge.unread import unread
from loadproof.analysis.judge.usercode import FIX_USERS, MOST_RAISED, raised, sent_elsewhere, unreported, wrong_names
from loadproof.analysis.word import Word
from loadproof.errors import printable
from loadproof.outcome import Outcome
from loadproof.rundir import files
from loadproof.rundir.rows import ENDED_BY, REDIS_DIED
from loadproof.scenario.faults import Backup
from loadproof.units import counted, format_duration

if TYPE_CHECKING:
    from loadproof.analysis.frames.run import Run

_MANY_REPEATED_RATIO: Final = 0.001
_LEAVE_THE_END: Final = "remove that: loadproof ends the run itself, and ending it earlier loses the last requests"


def findings_in(run: Run) -> tuple[Finding, ...]:
    """All findings, in the order of the rules."""
    return tuple(finding for rule in (*RULES, disturbances) for finding in rule(run))


def why_invalid(run: Run) -> str | None:
    """The first reason why the run is no measurement; None if it is one."""
    return next((finding.what for finding in findings_in(run) if finding.word is Word.INVALID), None)


def _ending(run: Run) -> Iterator[Finding]:
    manifest = run.manifest
    detail = f" ({manifest.ending_detail})" if manifest.ending_detail else ""
    planned_s = manifest.phases[-1].end_s
    lived = f"{format_duration(run.measured_s)} of {format_duration(planned_s)}"
    match manifest.ending:
        case "target_died":
            yield Finding(
                Word.FAIL,
                f"the target died after {lived}{detail}",
                "check target.log and the target's memory, then run again",
            )
        case "generator_died":
            remedy = _LEAVE_THE_END if f", {ENDED_BY}" in detail else CHECK_LOG
            yield Finding(Word.INVALID, f"the generator died after {lived}{detail}", remedy)
        case "disk_full":
            yield Finding(
                Word.INVALID,
                f"recording stopped after {lived}{detail}",
                "free disk space, or make the directory writable, then run again",
            )
        case "aborted":
            yield _aborted(run, f"ended early, after {lived}{detail}")
        case "interrupted" | "terminated":
            yield Finding(Word.INCONCLUSIVE, f"{manifest.ending} after {lived}", "let it run to the end")
        case "running":
            yield Finding(Word.INCONCLUSIVE, f"cut off after {lived}: the run never finished", "let it run to the end")


def _aborted(run: Run, what: str) -> Finding:
    """FAIL if an aborting threshold also fails on the complete record, which may include later answers.

    Otherwise INCONCLUSIVE.
    """
    thresholds = [threshold for threshold in run.manifest.scenario.thresholds if threshold.abort]
    if any(judge_threshold(threshold, run).word is Word.FAIL for threshold in thresholds):
        return Finding(Word.FAIL, what, "look at that window in the report, fix the target, and run again")
    what += "; in the complete record that window is not violated"
    return Finding(Word.INCONCLUSIVE, what, "run it again, to the end")


def _nothing_recorded(run: Run) -> Iterator[Finding]:
    # If the target died before the first request, that is its own fault.
    lost, was_cut = _damage_of(run, files.INTERVALS), run.manifest.ending in CUT_SHORT
    # If nothing was sent, the file doesn't exist.
    is_lost = lost and (run.generator["sent"].sum() > 0 or (run.path / files.INTERVALS).exists())
    if run.intervals.empty and not was_cut and is_lost:
        yield Finding(Word.INVALID, f"no request can be read: {lost}", RESTORE_RUN)
    elif run.intervals.empty and not was_cut and run.manifest.ending != "target_died":
        of_setup = tally(run.setup).sent
        what = "no request was recorded" + (f" but {of_setup:,} of users' on_start and on_stop" if of_setup else "")
        yield Finding(Word.INVALID, what, FIX_USERS if run.raised else CHECK_LOG)
    if run.generator.empty and not run.intervals.empty and not was_cut:
        lost = _damage_of(run, files.GENERATOR)
        what = "there is no record of the generator's health, so it may not have kept up"
        what += f" ({lost})" if lost else ""
        yield Finding(Word.INVALID, what, RESTORE_RUN if lost else CHECK_LOG)
    for damage in run.damage:
        yield Finding.note(damage, IF_CUT_OFF)


def _damage_of(run: Run, *names: str) -> str:
    """The damage to these files; empty if there is none."""
    return " and ".join(damage for damage in run.damage if damage.startswith(names))


def _lost_requests(run: Run) -> Iterator[Finding]:
    """Checks that each request started has one outcome, was unsent, or was abandoned when the run stopped."""
    lost = _damage_of(run, files.INTERVALS, files.GENERATOR)
    if run.manifest.ending in MAY_BE_TORN or run.generator.empty or (lost and run.intervals.empty):
        return
    planned, setup = tally(run.intervals), tally(run.setup)
    sent = int(run.generator["sent"].sum())
    abandoned = planned.abandoned + setup.abandoned
    accounted = planned.sent + planned.unsent + setup.sent + setup.unsent + abandoned
    if sent != accounted:
        remedy = f"stop what the locustfile leaves running in the background; if there is nothing, {REPORT_BUG}"
        what = f"{sent:,} requests were sent, {accounted:,} are accounted for"
        yield Finding(Word.INVALID, f"{what}: {lost}" if lost else what, RESTORE_RUN if lost else remedy)
    most = int(run.generator.groupby("worker")["in_flight"].max().sum())
    if abandoned > most:
        cut_off = counted(abandoned, "request was", "requests were")
        what = f"{cut_off} cut off, but never more than {most:,} were in flight at once"
        yield Finding(Word.INVALID, what, REPORT_BUG)


def set_up(run: Run) -> Iterator[Finding]:
    """Requests sent outside the plan; if they failed, users may not have sent what was intended afterwards."""
    counts = tally(run.setup)
    if not counts.sent:
        return
    failed = {outcome: count for outcome, count in counts.outcomes.items() if outcome is not Outcome.OK and count}
    # A locustfile's users only stop when their task is over, which may be after the plan's end.
    beyond = ", or its users after the plan's end," if run.manifest.scenario.locustfile else ""
    what = f"on_start, on_stop and authentication{beyond} sent {counted(counts.sent, 'request')} outside the plan"
    if failed:
        what += ", of which " + " and ".join(f"{count:,} ended in {outcome}" for outcome, count in failed.items())
    word = Word.INCONCLUSIVE if sum(failed.values()) > MOST_RAISED * counts.sent else Word.PASS
    remedy = "fix the target, or what on_start and on_stop send, then run again" if failed else "nothing to do"
    yield Finding(word, what, remedy)


def _late_bursts(run: Run) -> Iterator[Finding]:
    """Bursts spread out by the target: users were still waiting for its answers at that instant.

    FAIL if more of them than may be missing elsewhere: goodput doesn't count it, as they send when they can.
    """
    for burst in bursts(run, measured_names(run)):
        if burst.is_spread and burst.late:
            waiting = counted(burst.late, "user was", "users were")
            what = f"{burst.spread_text}, {waiting} still waiting for an answer"
            if burst.late > LOST_SHARE * burst.sent:
                yield Finding(Word.FAIL, what, "the target is too slow for the pace before the burst")
            elif not burst.is_spread_by_us:
                yield Finding.note(what, "nothing to do: so few leave the burst what it was to be")


def _repeated(run: Run) -> Iterator[Finding]:
    """Requests sent again on another connection, because the target closed theirs as they were sent."""
    counts = tally(run.intervals)
    if counts.repeated > _MANY_REPEATED_RATIO * counts.sent:
        what = f"{counts.repeated:,} of {counts.sent:,} requests were sent twice: the target closed their connection"
        yield Finding.note(
            what,
            "let the target keep idle connections open for longer, or close them first: timeouts.keep_alive_idle",
        )


def _surplus(run: Run) -> Iterator[Finding]:
    """Answers with surplus bytes: on such a connection, the next answer would be taken for another request's."""
    if (counts := tally(run.intervals)).surplus:
        what = f"the target sent extra bytes after its response to {counts.surplus:,} of {counts.sent:,} requests"
        what += ": each of these connections had to be closed"
        yield Finding.note(what, "make the target's Content-Length agree with the bytes that it sends")


def _deliberate_faults(run: Run) -> Iterator[Finding]:
    """A note that the embedded target was made to fail: the verdict isn't about the API as it is."""
    if faults := run.manifest.target.faults:
        what = f"the embedded target was made to fail on purpose: FAULTS={printable(faults)}"
        yield Finding.note(what, "unset FAULTS to measure the API as it is")


def _planned_faults(run: Run) -> Iterator[Finding]:
    """Planned faults: INVALID if one did not happen as planned, FAIL if the target did not come back from it."""
    planned = run.manifest.scenario.faults
    happened = {fault.number: fault for fault in faults_in(run)}
    if not planned:
        return
    for number, fault in enumerate(planned):
        event, text = happened.get(number), f"faults[{number}], {fault.text},"
        if event is not None and event.is_targets and isinstance(fault, Backup):
            what = f"the backup in faults[{number}] failed: {printable(event.trouble or '')}"
            yield Finding(Word.FAIL, what, "read its output in commands.jsonl, and run the command by hand")
        elif event is not None and event.is_targets:
            what = f"the target did not come back after {fault.fault}: {printable(event.trouble or '')}"
            yield Finding(Word.FAIL, what, "check target.log, and why it doesn't start again")
        elif event is not None and event.trouble is not None:
            what = f"{text} could not be done or undone: {printable(event.trouble)}"
            yield Finding(Word.INVALID, what, "check commands.jsonl, faults.log and target.log, then run again")
        elif (event is None or not event.is_whole) and run.manifest.ending == "completed":
            yield Finding(Word.INVALID, f"{text} did not happen as planned", REPORT_BUG)
    if any(fault.is_whole for fault in happened.values()):
        each = ", ".join(f"{fault.text} at {format_duration(fault.began_s or 0.0)}" for fault in happened.values())
        yield Finding.note(f"on purpose: {each}", "nothing to do: the scenario plans it")


def _unverified(run: Run) -> Iterator[Finding]:
    """A note if the server's certificate was not verified."""
    tls = run.manifest.target.tls
    if tls is not None and not tls.verify:
        what = "the server's certificate was not verified, so any server could have answered"
        yield Finding.note(what, "set `tls.ca_file` to its CA's certificate instead of `verify: false`")


def _lost_redis(run: Run) -> Iterator[Finding]:
    """Lost Redis: each process then counted by itself, and may have admitted the same client once each."""
    if run.manifest.target.redis is None:
        return
    for died_s in run.events.loc[run.events["kind"] == REDIS_DIED, "time_s"]:
        what = f"this run's Redis died at {format_duration(died_s)}, which the scenario didn't plan"
        yield Finding(Word.INVALID, what, "check redis.log, then run again")
    fallbacks = run.target[run.target["metric"] == files.FALLBACKS]["value"].max()
    if fallbacks > 0:
        what = f"the embedded target lost its Redis for a while: {fallbacks:,.0f} checks were counted in memory"
        remedy = "check redis.log, or the server at REDIS_URL: limits were shared only while it answered"
        yield Finding.note(what, remedy)


RULES: Final[tuple[Callable[[Run], Iterator[Finding]], ...]] = (
    _ending,
    _nothing_recorded,
    _lost_requests,
    journalled,
    set_up,
    _late_bursts,
    _repeated,
    _surplus,
    unread,
    raised,
    wrong_names,
    unreported,
    sent_elsewhere,
    _deliberate_faults,
    _planned_faults,
    _unverified,
    _lost_redis,
)
