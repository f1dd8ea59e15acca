"""Writes a search's result: capacity.json, summary.md, junit.xml, and report.html with the results of each trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loadproof.analysis.capacity.capacity import Capacity, Found
from loadproof.analysis.outputs import capacityfile
from loadproof.analysis.outputs.capacityresults import concluded_capacity
from loadproof.analysis.outputs.selftesttext import selftest_note
from loadproof.analysis.report.drawing import FAINT, INK, LINES, SHADE, chart, log_durations, log_numbers, right_axes
from loadproof.analysis.report.page import TEMPLATES
from loadproof.analysis.word import Word
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest
from loadproof.rundir.trials import CAPACITY, RUNS
from loadproof.units import Dimension, format_duration, format_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from markupsafe import Markup
    from matplotlib.axes import Axes

    from loadproof.rundir.trials import Search, Trial


def write_capacity(directory: Path, search: Search, trials: Sequence[Trial], result: Capacity) -> None:
    """Write all files; OutputError if they can't be written."""
    files.write_all(
        {
            directory / CAPACITY: capacityfile.capacity_json(search, trials, result),
            directory / files.SUMMARY: capacityfile.capacity_markdown(search, result),
            directory / files.JUNIT: concluded_capacity(search, result).junit,
            directory / files.REPORT: capacity_page(search, trials, result, _selftest(directory, trials)),
        }
    )


def capacity_page(search: Search, trials: Sequence[Trial], result: Capacity, selftest: Sequence[str]) -> str:
    valid = [trial for trial in trials if trial.is_valid]
    return TEMPLATES.get_template("capacity.html").render(
        search=search,
        found=result.found,
        word=capacityfile.VERDICTS[result.found],
        sentence=capacityfile.sentence_of(result),
        estimated=capacityfile.estimated_text(search, result),
        next_step=capacityfile.capacity_next_step(search, result),
        facts=list(capacityfile.facts(search, result)),
        head=capacityfile.GOAL_HEAD,
        goals=[capacityfile.goal_cells(goal) for goal in (result.together, *result.goals)],
        selftest=selftest,
        attributes=list(capacityfile.attributes_text(search)),
        load_chart=_load_chart(valid, result) if valid else None,
        loss_chart=_loss_chart(valid, result) if valid else None,
        trials=[_row(trial) for trial in trials],
    )


def _selftest(directory: Path, trials: Sequence[Trial]) -> list[str]:
    """The machine's self-test as recorded by the latest trial."""
    runs = [directory / RUNS / trial.run for trial in trials]
    latest = next((run for run in reversed(runs) if run.is_dir()), None)
    return selftest_note(latest, read_manifest(latest)) if latest else []


def _row(trial: Trial) -> dict[str, object]:
    word = Word.INVALID if not trial.is_valid else Word.PASS if trial.is_kept else Word.FAIL
    loss = trial.worst
    good = trial.goodput_rps * trial.duration_s / max(trial.offered, 1)
    said = trial.invalid or ("" if trial.ending == "completed" else f"ended: {trial.ending}")
    return {
        "word": word,
        "told": {Word.INVALID: "INVALID", Word.PASS: "held", Word.FAIL: "missed"}[word],
        "numbers": [
            str(trial.number),
            capacityfile.rate(trial.load_rps),
            f"{trial.duration_s:g} s",
            format_quantity(good, Dimension.RATIO),
            format_duration(trial.p95_s) if trial.p95_s is not None else "–",
        ],
        "stage": trial.stage,
        "worst": said or f"{loss.goal}: {format_quantity(loss.ratio, Dimension.RATIO)} lost",
        "run": trial.run,
    }


def _capacity_span(axes: Axes, result: Capacity) -> None:
    """Shade where the capacity is: its interval, or the bounds of a rough one."""
    half, together = result.together.half, result.together
    low, high = together.lower_rps, together.upper_rps
    if result.found is Found.FOUND and half is not None:
        low, high = half.low, half.high
    if low is not None and high is not None:
        axes.axvspan(low, high, color=SHADE, zorder=0)
        middle, place = (low + high) / 2, axes.get_xaxis_transform()
        axes.text(middle, 1.02, "capacity", transform=place, ha="center", fontsize=8)


def _load_chart(valid: Sequence[Trial], result: Capacity) -> Markup:
    """Goodput and p95 by offered load, one point per trial."""
    ordered = sorted(valid, key=lambda trial: trial.load_rps)
    loads = [trial.load_rps for trial in ordered]
    with chart("capacity-load", "requests per second") as (axes, drawing):
        lines = axes.plot(loads, loads, color=FAINT, linestyle=":", label="offered")
        lines += axes.plot(
            loads, [one.goodput_rps for one in ordered], "o", color=LINES[1], markersize=4, label="goodput"
        )
        right = right_axes(axes, "response time")
        times = [np.nan if one.p95_s is None else one.p95_s * 1000 for one in ordered]
        if not all(map(np.isnan, times)):
            lines += right.plot(loads, times, "s", color=LINES[0], markersize=3, label="p95")
            log_durations(right)
        _capacity_span(axes, result)
        axes.set_xlabel("planned arrivals per second")
        axes.set_ylim(bottom=0)
        log_numbers(axes)
        drawing.legend(axes, lines)
    return drawing.svg("Goodput and 95th percentile of the response time of each trial, against its offered load")


def _loss_chart(valid: Sequence[Trial], result: Capacity) -> Markup:
    """Each goal's loss, as a multiple of what it allows, by offered load."""
    with chart("capacity-loss", "loss, as multiple of what is allowed") as (axes, drawing):
        names = list(dict.fromkeys(loss.goal for trial in valid for loss in trial.losses))
        lines = []
        for name, colour, mark in zip(names, LINES * len(names), "osv^Dx+" * len(names), strict=False):
            pairs = [(trial.load_rps, loss) for trial in valid for loss in trial.losses if loss.goal == name]
            shown = [loss.ratio / loss.allowed if loss.allowed else (loss.lost or 0.01) for _, loss in pairs]
            values = np.clip(shown, 0.01, None)
            lines += axes.plot([load for load, _ in pairs], values, mark, color=colour, markersize=4, label=name)
        axes.axhline(1.0, color=INK, linewidth=0.8)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.4g}")
        _capacity_span(axes, result)
        axes.set_xlabel("planned arrivals per second")
        log_numbers(axes)
        drawing.legend(axes, lines)
    return drawing.svg("What each goal lost in each trial, divided by what it allows, against the offered load")
