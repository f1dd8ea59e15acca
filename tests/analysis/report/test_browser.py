"""The report as a reader sees it, in Debian's Chromium."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.report.run_page import run_files as outputs_of
from loadproof.rundir import files
from loadproof.rundir.manifest import read_manifest, write_manifest
from simulation.rundirs import outcomes, write_run
from tests.hostile import HOSTILE

pytestmark = pytest.mark.browser
OFTEN = {(1280, "light", True), (1280, "dark", False), (400, "light", False), (400, "dark", True)}
"""Width, scheme and script, so that every pair of values occurs."""
SETTINGS = [
    pytest.param(*setting, marks=() if setting in OFTEN else pytest.mark.long)
    for setting in itertools.product((1280, 400), ("light", "dark"), (True, False))
]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    if BROWSER is None:
        message = "no chromium on this machine (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    return report_of(
        write_run(tmp_path_factory.mktemp("run"), outcomes_of=outcomes(throttled=0.05, server_error=0.05, timeout=0.02))
    )


def report_of(path: Path) -> Path:
    run = load_run(path)
    files.write_all(outputs_of(run, verdict_on_run(run)))
    return path / files.REPORT


@pytest.fixture
def opened(chromium):
    """Open a file in a new context; nothing but the file may be requested, and nothing may go wrong."""
    contexts = []

    def open_file(file: Path, **options: object):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.requested, page.problems = [], []
        page.on("request", lambda request: page.requested.append(request.url))
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("dialog", lambda dialog: page.problems.append(dialog.message))
        page.goto(file.as_uri())
        return page

    yield open_file
    for context in contexts:
        context.close()


@pytest.mark.parametrize(("width", "scheme", "script"), SETTINGS)
def test_the_report_is_complete_in_every_setting(opened, page_file, width, scheme, script):
    """Wide or narrow, light or dark, with and without JavaScript: no sideways scrolling, no request, all charts."""
    page = opened(page_file, viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script)
    assert page.requested == [page_file.as_uri()]
    assert page.problems == []
    assert page.locator("figure svg").count() == 7
    assert page.locator("text=FAIL").first.is_visible()
    body = page.locator("body").bounding_box()
    assert body["width"] <= width
    for figure in page.locator("figure").all():
        # On a narrow screen a chart scrolls inside its figure: if it shrank, its labels would be unreadable.
        box = figure.bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
        assert box["height"] > 150
    if script:
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_verdict_is_on_the_first_screen(opened, page_file):
    """With its reason and the next step, on a small laptop."""
    page = opened(page_file, viewport={"width": 1280, "height": 720})
    for selector in (".word", ".reason", ".next"):
        box = page.locator(selector).bounding_box()
        assert box["y"] + box["height"] < 300


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(opened, page_file, scheme):
    """4.5 to 1 for text on its background. Source: WCAG 2.2, success criterion 1.4.3."""
    page = opened(page_file, color_scheme=scheme)
    low = page.evaluate(
        """() => {
          const parse = (text) => text.match(/[\\d.]+/g).map(Number);
          const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
          const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
          const background = (e) => {
            for (; e; e = e.parentElement) {
              const colour = parse(getComputedStyle(e).backgroundColor);
              if (colour.length < 4 || colour[3] > 0) return colour;
            }
            return [255, 255, 255];
          };
          const found = [];
          for (const e of document.querySelectorAll("main *:not(svg *)")) {
            if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
            const [one, two] = [parse(getComputedStyle(e).color), background(e)].map(luminance);
            const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
            if (ratio < 4.5) found.push(`${e.tagName}.${e.className} ${e.textContent.trim().slice(0, 30)} ${ratio}`);
          }
          return found;
        }"""
    )
    assert low == []


def test_hostile_names_run_nothing(opened, tmp_path):
    """No script, no image, no dialog."""
    path = write_run(tmp_path / "run", ending="target_died")
    manifest = read_manifest(path)
    hostile = {"ending_detail": HOSTILE, "run_id": HOSTILE, "command": f"</pre><script>alert(1)</script>{HOSTILE}"}
    write_manifest(path, manifest.model_copy(update=hostile))
    page = opened(report_of(path))
    assert page.problems == []
    assert len(page.requested) == 1
    assert page.locator("img").count() == 0
    assert page.locator("script:not([type='application/json'])").count() == 1
    assert "<script>alert(1)</script>" in page.locator("pre").last.inner_text()


def test_it_prints_on_a4(opened, page_file, tmp_path):
    """As a PDF of a few pages."""
    page = opened(page_file)
    file = tmp_path / "report.pdf"
    page.pdf(path=file, format="A4")
    assert 1 <= file.read_bytes().count(b"/Type /Page\n") + file.read_bytes().count(b"/Type /Page ") <= 8


def test_values_are_shown_under_the_pointer(opened, page_file):
    """With the second and each line's name; they disappear when the pointer leaves."""
    page = opened(page_file)
    figure = page.locator("figure").first
    figure.locator("svg").hover()
    tip = figure.locator(".tip")
    assert tip.is_visible()
    lines = tip.inner_text().splitlines()
    assert lines[0].startswith("seconds from the start: ")
    assert [line.partition(":")[0] for line in lines[1:]] == ["offered", "sent", "goodput"]
    page.mouse.move(0, 0)
    assert not tip.is_visible()


def test_endpoints_can_be_hidden(opened, page_file):
    """And shown again; their values disappear with them."""
    page = opened(page_file)
    figure = page.locator("figure.toggles")
    line = figure.locator("#endpoints-series-0")
    assert line.is_visible()
    figure.get_by_label("balance").uncheck()
    assert not line.is_visible()
    figure.locator("svg").hover()
    assert "balance" not in figure.locator(".tip").inner_text()
    figure.get_by_label("balance").check()
    assert line.is_visible()


def test_every_chart_has_a_text_equivalent(opened, page_file):
    """For screen readers."""
    page = opened(page_file)
    for chart in page.locator("figure svg").all():
        assert chart.get_attribute("role") == "img"
        assert len(chart.get_attribute("aria-label")) > 20
