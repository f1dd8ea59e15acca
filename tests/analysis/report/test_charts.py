"""What charts claim: nothing between or below the loads tested, and readable numbers on every axis."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle

from loadproof.analysis.estimates.overtime import answered, over_time
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.loadcurve import LoadCurve, Scalability, load_curve
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.report import charts, degradationcharts
from loadproof.analysis.report.degradationcharts import load_curve_chart, lost_chart, scalability_chart
from loadproof.analysis.report.drawing import Drawing, chart, log_durations, log_numbers
from loadproof.analysis.report.run_page import render_run_page
from loadproof.analysis.word import Word
from simulation.rundirs import open_scenario, outcomes, write_run
from simulation.traffic import poisson, queue, run_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@pytest.fixture(scope="module")
def curve() -> LoadCurve:
    """Five steps, two of them beyond the 100 requests a second that are served."""
    phases = [{"name": f"at-{rate}", "duration": "20 s", "rate": f"{rate} rps"} for rate in (20, 50, 80, 120, 300)]
    thresholds = [{"expect": "goodput_ratio >= 90 %"}]
    plan = open_scenario(phases=phases, mix={"balance": {"share": "100 %"}}, thresholds=thresholds)
    random = np.random.default_rng(1)
    at_s = poisson(random, plan)
    return load_curve(run_of(plan, at_s, queue(at_s, random.exponential(0.04, at_s.size), servers=4)))


@pytest.fixture
def figure(monkeypatch):
    """The figure of the last chart drawn, before it became a text."""
    drawn: list[Figure] = []
    monkeypatch.setattr(Drawing, "svg", lambda drawing, *_: drawn.append(drawing.figure))
    return drawn


@pytest.mark.slow
def test_losses_are_only_drawn_at_the_loads_tested(curve, figure):
    """As bars: an area from 120 to 300 requests a second would show loads that nobody sent."""
    lost_chart(curve)
    (axes,) = figure[0].axes
    assert not [part for part in axes.collections if isinstance(part, PolyCollection)]
    assert {round(bar.get_x() + bar.get_width() / 2, 6) for bar in axes.patches} <= set(range(5))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["20", "50", "80", "120", "300"]


def test_capacity_is_only_shaded_between_two_steps(curve, figure):
    """If the first step already failed, nothing was tested below it."""
    load_curve_chart(curve)
    broken = replace(curve, rising=tuple(replace(step, word=Word.FAIL) for step in curve.rising))
    load_curve_chart(broken)
    shades = [[part for part in drawn.axes[0].patches if isinstance(part, Rectangle)] for drawn in figure]
    assert [(round(shade.get_x()), round(shade.get_x() + shade.get_width())) for shade in shades[0]] == [
        (curve.held.load, curve.broke.load)
    ]
    assert shades[1] == []


@pytest.mark.parametrize("tested", [(2.0, 7.0), (0.4, 300.0), (1.0, 90_000.0)])
def test_no_axis_shows_tex(curve, tested):
    """Within a decade, where Matplotlib labels the minor ticks, and over many."""
    steps = tuple(
        replace(step, in_flight=float(n)) for step, n in zip(curve.rising, np.geomspace(*tested, 5), strict=True)
    )
    text = scalability_chart(replace(curve, rising=steps), Scalability(10, 0.1, 0.01, tested))
    assert "math" not in text
    assert "$" not in text


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.drawn
def test_charts_over_time_only_read_the_table_they_are_given(tmp_path):
    """Not the cells: there may be tens of millions, and a page has many charts."""
    run = load_run(write_run(tmp_path, outcomes_of=outcomes(timeout=0.1)))
    seconds, answers = over_time(run), answered(run.intervals)
    drawn = [
        [
            charts.load_chart(traffic, seconds.counts),
            charts.throughput_chart(traffic, seconds.counts),
            charts.heat_chart(traffic, answers),
            charts.endpoints_chart(traffic, answers, run.endpoints),
            charts.outcomes_chart(traffic, seconds.outcomes),
        ]
        for traffic in (run, run.with_intervals(run.intervals[:0]))
    ]
    assert all(drawn[0])
    assert drawn[0] == drawn[1]


@pytest.mark.slow
@pytest.mark.drawn
def test_long_names_leave_room_for_the_plot():
    """Request names are often whole paths."""
    with chart("endpoints", "p95 response time") as (axes, drawing):
        for number in range(7):
            axes.plot([0, 1], [0, 1], label=f"GET /competitions/{number}/clubs/{'of-a-very-long-name-' * 4}")
        drawing.legend(axes)
    drawing.svg("lines")
    place = axes.get_position()
    assert place.width > 0.8
    assert place.height > 0.25
    assert len(axes.get_legend().get_texts()[0].get_text()) < 50


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.drawn
def test_no_chart_of_a_page_shows_tex(tmp_path):
    """Neither an axis nor a legend."""
    plan = open_scenario(
        phases=[{"name": f"at-{rate}", "duration": "10 s", "rate": f"{rate} rps"} for rate in (10, 14, 20, 30, 12)],
        thresholds=[{"expect": "goodput_ratio >= 90 %"}],
    )
    run = load_run(write_run(tmp_path / "run", plan=plan))
    page = render_run_page(run, verdict_on_run(run))
    assert "scalability-" in page
    assert "mathdefault" not in page


def test_the_load_axis_is_labelled_with_the_planned_load(curve, figure):
    """Arrivals are users' tasks, each of which may send several requests."""
    load_curve_chart(curve)
    assert figure[0].axes[0].get_xlabel() == "planned arrivals per second"
    assert degradationcharts.lost_chart(curve) is None
    assert figure[1].axes[0].get_xlabel() == "planned arrivals per second"


@pytest.mark.slow
@pytest.mark.drawn
@pytest.mark.parametrize("times_ms", [[], [0.0], [0.0, 0.0]])
def test_times_of_zero_are_drawn_without_a_warning(times_ms):
    """From a run that ended at once, or a client that reports no times: a log scale has no place for them."""
    with chart("few", "response time") as (axes, drawing):
        axes.plot(range(len(times_ms)), times_ms, label="p95")
        log_durations(axes)
        log_numbers(axes)
        drawing.legend(axes)
    assert "<svg" in drawing.svg("few")


@pytest.mark.slow
@pytest.mark.drawn
def test_a_time_of_zero_doesnt_prevent_a_log_scale_for_others():
    """It is below the axis."""
    with chart("few", "response time") as (axes, drawing):
        axes.plot([1, 2, 3], [0.0, 1.0, 1000.0], label="p95")
        log_durations(axes)
    assert axes.get_yscale() == "log"
    assert "<svg" in drawing.svg("few")
