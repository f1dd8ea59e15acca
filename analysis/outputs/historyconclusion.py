"""Turns a history into a word, a sentence on what its latest runs show, and the next step."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from loadproof.analysis.compare.history import RECENT, Trend
from loadproof.analysis.compare.statistics.changepoints import FEWEST
from loadproof.analysis.compare.statistics.welch import Scale
from loadproof.analysis.outputs.ci.concluded import Concluded
from loadproof.analysis.outputs.ci.junit import HELD, Case
from loadproof.analysis.outputs.dates import date_text
from loadproof.analysis.word import Word
from loadproof.errors import escaped
from loadproof.units import counted, format_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.analysis.compare.history import Event, RowHistory, RunHistory, Stretch
    from loadproof.analysis.compare.replicates import Replicate


class HistoryWord(StrEnum):
    """What the latest runs show, as a whole."""

    BROKEN = "target gone"
    TOO_FEW = "too few"
    REGRESSED = "regressed"
    NOT_SENT = "no longer sent"
    IMPROVED = "improved"
    NOTHING_NEW = "nothing new"


ENOUGH: Final = "enough runs to tell a change from noise"
VERDICTS: Final = {
    HistoryWord.BROKEN: Word.FAIL,
    HistoryWord.TOO_FEW: Word.INCONCLUSIVE,
    HistoryWord.REGRESSED: Word.FAIL,
    HistoryWord.NOT_SENT: Word.INCONCLUSIVE,
    HistoryWord.IMPROVED: Word.PASS,
    HistoryWord.NOTHING_NEW: Word.PASS,
}
"""The verdict of each word for a gate: FAIL raises the alarm."""


@dataclass(frozen=True)
class HistoryConclusion:
    word: HistoryWord
    reason: str
    next_step: str

    @property
    def verdict(self) -> Word:
        return VERDICTS[self.word]


def history_conclusion(history: RunHistory) -> HistoryConclusion:
    return HistoryConclusion(history_word(history), headline(history), history_step(history))


def concluded_history(history: RunHistory) -> Concluded:
    """One case for the number of runs on the latest run's machine, one for how the latest run ended, one per row.

    Rows with too few runs have no case.
    """
    conclusion = history_conclusion(history)
    latest, notes = history.stretches[0], "\n".join(map(escaped, map(str, history.left_out)))
    few = Word.PASS if latest.is_long_enough else Word.INCONCLUSIVE
    held = Word.FAIL if history.broken else Word.PASS
    cases = (
        Case(ENOUGH, few, "" if few is Word.PASS else f"{len(latest.runs)} of {FEWEST} on this machine", 0.0),
        Case(HELD, held, conclusion.reason if history.broken else "", 0.0),
        *(Case(f"{name} is sent", Word.INCONCLUSIVE, "not by the latest run", 0.0) for name in latest.no_longer_sent),
        *(_case(history, row) for row in latest.rows if row.trend is not Trend.TOO_FEW),
    )
    of_rows = cases[2:]
    parts = history.scenario, conclusion.verdict, conclusion.reason, conclusion.next_step
    return Concluded("history", *parts, cases, of_rows, notes)


def _case(history: RunHistory, row: RowHistory) -> Case:
    """The case of one row; it fails as long as a regression is recent."""
    name = f"{row.row.endpoint} · {row.row.phase}: {row.row.metric}"
    if row not in history.latest_regressions:
        return Case(name, Word.PASS, "", 0.0)
    stretch = history.stretches[0]
    _, event = _surest([row], len(stretch.runs) - RECENT)
    return Case(name, Word.FAIL, f"{shift_text(row, event)} since {since_text(stretch, event)}", 0.0)


def history_word(history: RunHistory) -> HistoryWord:
    if history.broken:
        return HistoryWord.BROKEN
    if not history.stretches[0].is_long_enough:
        return HistoryWord.TOO_FEW
    if history.latest_regressions:
        return HistoryWord.REGRESSED
    if history.stretches[0].no_longer_sent:
        return HistoryWord.NOT_SENT
    return HistoryWord.IMPROVED if history.latest_improvements else HistoryWord.NOTHING_NEW


def headline(history: RunHistory) -> str:
    """One sentence: what the latest runs show."""
    if history.broken:
        which = "the latest run" if history.broken == 1 else f"each of the latest {history.broken} runs"
        return f"The target ended {which}, so its current behaviour is unknown."
    stretch = history.stretches[0]
    if not stretch.is_long_enough:
        here = f"{len(stretch.runs)} on this machine, {FEWEST} are needed"
        return f"Too few runs to tell change from noise: {here}."
    if worse := history.latest_regressions:
        regressed = f"{counted(len(worse), 'row')} regressed within the last {RECENT} runs"
        return f"{regressed}, and {_have(len(worse))} not recovered."
    if gone := stretch.no_longer_sent:
        return f"The latest run didn't send {gone[0]}{_and_more(gone)}, which the runs before did."
    if apart := history.rows_apart:
        return f"The latest run alone is far worse in {counted(len(apart), 'row')}, like {_apart_text(apart[0])}."
    return _without_alarm(history, stretch)


def _without_alarm(history: RunHistory, stretch: Stretch) -> str:
    if better := history.latest_improvements:
        return f"{counted(len(better), 'row')} improved within the last {RECENT} runs; nothing regressed in them."
    changed = [row for row in stretch.rows if row.trend not in {Trend.STABLE, Trend.SMALL, Trend.TOO_FEW}]
    if not changed:
        return f"No change in {counted(len(stretch.rows), 'row')} over {len(stretch.runs)} runs."
    rows = counted(len(stretch.rows), "row")
    return f"Nothing new: {len(changed)} of {rows} changed earlier, or changed and went back."


def _apart_text(row: RowHistory) -> str:
    was, now = (format_quantity(float(value), row.metric.dimension) for value in row.values[-2:])
    return f"{row.row.text}: {now} after {was}"


def history_step(history: RunHistory) -> str:
    stretch = history.stretches[0]
    if history.broken:
        return "Check the latest run's report and the target's own log for why it ended."
    if not stretch.is_long_enough:
        lacking = FEWEST - len(stretch.runs)
        return f"Make {counted(lacking, 'more run')} on this machine, or `loadproof compare` two releases."
    if not history.latest_regressions:
        if stretch.no_longer_sent:
            return "Check what the target answers to the request before it: users no longer get that far."
        if history.rows_apart:
            return "Make another run: if it is as far off, that is a change; if not, this run was odd."
        return "Nothing to do."
    row, event = _surest(history.latest_regressions, len(stretch.runs) - RECENT)
    what = f"{row.row.text} by {shift_text(row, event)}"
    return (
        f"Look for what changed at {since_text(stretch, event)}: it moved {what}, which is the surest change. "
        "`loadproof duel` shows whether it was the release."
    )


def _surest(rows: Sequence[RowHistory], since: int) -> tuple[RowHistory, Event]:
    """The regression since this run that is least likely to be noise."""
    regressions = [(row, event) for row in rows for event in row.events if event.trend is Trend.REGRESSED]
    return min(((row, event) for row, event in regressions if event.first >= since), key=lambda pair: pair[1].p)


def _and_more(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _have(n: int) -> str:
    return "has" if n == 1 else "have"


def shift_text(row: RowHistory, event: Event) -> str:
    """'+10.2 % (+8.1 to +12.3)'; in percentage points for ratios."""
    unit = "points" if row.scale is Scale.DIFFERENCE else "%"
    return f"{event.shift * 100:+.1f} {unit} ({event.low * 100:+.1f} to {event.high * 100:+.1f})"


def run_text(run: Replicate) -> str:
    """A run's day and release, by which people look for it."""
    day, release = date_text(run.manifest.start_unix_s)[:10], run.manifest.release_shown
    return f"{day}, {release}" if release else day


def since_text(stretch: Stretch, event: Event) -> str:
    """When a change began, as exactly as that is known, and when it went away."""
    text = f"run {event.first + 1} ({run_text(stretch.runs[event.first])})"
    if event.earliest != event.latest:
        text += f", between runs {event.earliest + 1} and {event.latest + 1}"
    return text if event.until is None else f"{text}, back since run {event.until + 1}"
