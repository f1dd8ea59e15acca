"""Documentation that can't drift."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image
from rich.console import Console

from bench.tables.documents import DOCUMENTS as TABLED
from bench.tables.documents import refreshed
from docs.make_sample import fingerprint
from loadproof.analysis.frames.run import load_run
from loadproof.analysis.judge.verdict import verdict_on_run
from loadproof.analysis.outputs.tables import terminal_view
from loadproof.analysis.outputs.verdict.schema import verdict_schema
from loadproof.analysis.report.run_page import run_files
from loadproof.outcome import UNSENT, Outcome
from loadproof.plan.decidability import undecidable
from loadproof.plan.faultspans import fault_spans
from loadproof.plan.phases import plan_phases
from loadproof.rundir import files
from loadproof.rundir.rows import COUNTERS, HISTOGRAMS, USER_TIMES, JournalRow
from loadproof.scenario.document import parse_yaml
from loadproof.scenario.loading import load_scenario
from loadproof.scenario.scenario import Scenario
from loadproof.scenario.settings import Penalties, Settings
from loadproof.scenario.target.targetfile import TargetFile
from loadproof.scenario.thresholds.metrics import METRICS
from tests.commands import ROOT, SHIPPED, in_process
from tests.missing import Part

DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    ROOT / "payments_api/README.md",
    ROOT / "scenarios/README.md",
    ROOT / "reports/README.md",
    ROOT / "payments_api/README.md",
    ROOT / "deploy/fly/README.md",
]
SAMPLE = ROOT / "reports/sample"
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
GLOSSARY = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")


def commands_of(document: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", document, re.DOTALL | re.MULTILINE)
    return [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_are_not_broken(document):
    """Relative links, to files and to headings."""
    for link, heading in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", document.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        file = (document.parent / link) if link else document
        assert file.exists(), link
        assert not heading or heading in anchors_of(file), f"{link}#{heading}"


def anchors_of(file: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_command_exists(document):
    """In code blocks and in running text."""
    text = document.read_text(encoding="utf-8")
    named = {line.split()[1] for line in commands_of(text) if line.startswith("make ")}
    named |= set(re.findall(r"`make ([a-z0-9-]+)", text))
    assert named <= set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))


@pytest.mark.process
def test_make_help_lists_every_command():
    """From the `##` comments."""
    text = subprocess.check_output(["make", "help"], cwd=ROOT, text=True)
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split()
    for name in phony:
        assert re.search(rf"^  {name}\s+\S", text, re.MULTILINE), name


@pytest.mark.parametrize("file", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_loads_names_its_schema_and_is_in_the_readme(file):
    """With its command."""
    assert load_scenario(file).name == file.stem
    assert file.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=scenario.schema.json\n")
    assert f"(scenarios/{file.name})" in README
    assert f"make {file.stem}" in README


def test_every_metric_outcome_and_verdict_is_in_the_glossary():
    """The words of thresholds and reports."""
    words = {word for line in GLOSSARY.splitlines() for word in re.findall(r"`([a-z_]+)(?:\(\d+\))?`", line)}
    assert set(METRICS) | set(Outcome) | UNSENT <= words
    assert all(f"`{word}`" in GLOSSARY for word in ("PASS", "FAIL", "INCONCLUSIVE", "INVALID"))


def test_every_key_of_a_scenario_is_explained():
    """In scenarios/README.md."""
    text = (ROOT / "scenarios/README.md").read_text(encoding="utf-8")
    for name in (field.alias or name for name, field in Scenario.model_fields.items()):
        assert re.search(rf"\b{name}\b", text), name


@pytest.mark.process
def test_the_example_in_the_scenarios_readme_is_a_valid_scenario(tmp_path):
    """Unchanged."""
    text = (ROOT / "scenarios/README.md").read_text(encoding="utf-8")
    file = tmp_path / "example.yaml"
    file.write_text(re.search(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[1], encoding="utf-8")
    done = in_process("check", file)
    assert done.returncode == 0, done.stderr


def test_thresholds_around_a_fault_in_the_scenarios_readme_can_be_decided(tmp_path):
    """Before, during and after the fault, each in its own phase."""
    text = (ROOT / "scenarios/README.md").read_text(encoding="utf-8").partition("## Faults")[2].partition("\n## ")[0]
    (example,) = [
        block for block in re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if "phases:" in block
    ]
    file = tmp_path / "around.yaml"
    file.write_text(
        f"name: around\ndescription: A fault in a phase of its own.\ndeadline: 1 s\n{example}", encoding="utf-8"
    )
    scenario = load_scenario(file)
    expected = {
        (span.name, name): 60 * (span.end_s - span.start_s) for span in plan_phases(scenario) for name in ("balance",)
    }
    (fault,) = fault_spans(scenario.faults, plan_phases(scenario))
    assert [(span.name, span.start_s, span.end_s) for span in plan_phases(scenario)][1] == (
        "slow",
        fault.start_s,
        fault.end_s,
    )
    assert list(undecidable(scenario, expected, where="")) == []


def test_every_setting_of_the_embedded_target_is_explained_and_in_the_example():
    """In scenarios/README.md; the example is valid unchanged."""
    text = (ROOT / "scenarios/README.md").read_text(encoding="utf-8").partition("## Settings of")[2]
    (example,) = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    settings = Settings.model_validate(parse_yaml(example, "README").value["settings"])
    for name in Settings.model_fields:
        assert re.search(rf"^\| .*`{name}`.* \|", text, re.MULTILINE), name
    assert settings.model_fields_set == Settings.model_fields.keys() - {"accounts"}
    assert settings.penalties == Penalties(base="10 s")


def test_the_committed_verdict_schema_is_current():
    """`make schema` writes it."""
    committed = json.loads((ROOT / "reports/verdict.schema.json").read_text(encoding="utf-8"))
    assert committed == verdict_schema()


@pytest.mark.parametrize(("model", "file"), [(Scenario, "scenario.schema.json"), (TargetFile, "target.schema.json")])
def test_the_committed_schemas_are_current(model, file):
    """`make schema` writes them."""
    committed = json.loads((ROOT / "scenarios" / file).read_text(encoding="utf-8"))
    assert committed == model.model_json_schema()


@pytest.mark.parametrize(
    ("what", "names"),
    [("series", {*HISTOGRAMS, *COUNTERS, *USER_TIMES}), ("column", set(JournalRow._fields))],
)
def test_every_series_of_the_intervals_and_column_of_the_journal_is_described(what, names):
    """In reports/README.md, and no others."""
    text = (ROOT / "reports/README.md").read_text(encoding="utf-8").partition(f"| {what} | content |")[2]
    first_cells = re.findall(r"^\| (`[^|]*)\|", text.partition("\n\n")[0], re.MULTILINE)
    described = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert described == names


@pytest.mark.parametrize("document", TABLED, ids=lambda path: path.name)
def test_tables_match_the_benchmark_results(document):
    """`python -m bench.tables` writes them."""
    text = document.read_text(encoding="utf-8")
    assert "<!-- end -->" in text
    assert refreshed(text) == text


def test_the_terminal_output_in_the_readme_is_the_samples():
    """Line by line, with rows left out."""
    console = Console(width=110, file=io.StringIO())
    console.print(terminal_view(verdict_on_run(load_run(SAMPLE))))
    (shown,) = re.findall(r"^```text\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert set(shown.splitlines()) - {"…"} <= set(console.file.getvalue().splitlines())


@pytest.mark.long
@pytest.mark.drawn
def test_judging_the_sample_again_changes_nothing(tmp_path):
    """Byte for byte except the charts; `make picture` rewrites it."""
    run = load_run(shutil.copytree(SAMPLE, tmp_path / "sample"))
    files.write_all(run_files(run, verdict_on_run(run)))
    for name in (files.VERDICT, files.SUMMARY, files.JUNIT, files.REPORT):
        then, now = ((path / name).read_text(encoding="utf-8") for path in (SAMPLE, run.path))
        assert without_curves(then) == without_curves(now), name


def without_curves(page: str) -> str:
    return re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)


def test_the_picture_in_the_readme_shows_the_sample():
    """`make picture` takes it again."""
    with Image.open(SAMPLE / "report.png") as picture:
        assert picture.info["shows"] == fingerprint((SAMPLE / files.REPORT).read_text(encoding="utf-8"))


def test_every_mark_is_in_the_contributors_guide():
    """With pytest's description."""
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Tests")[2].partition("## Style")[0]
    pytest_of = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]
    marks = pytest_of["ini_options"]["markers"]
    assert {mark.partition(":")[0] for mark in marks} == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_the_readme_lists_the_exit_codes():
    """As in the program's own table."""
    from loadproof.errors import ExitCode

    for code in ExitCode:
        assert re.search(rf"\b{code.value}\b", README), code


def test_decisions_are_numbered_without_gaps_and_have_their_parts():
    """One page each."""
    files = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert text.startswith("# ")
        assert len(text.splitlines()) <= 60
        assert "## Decision" in text
        assert "## Why" in text


def test_all_simulations_are_made_by_every_part_of_check_all():
    """Also by the long tests, which no other command runs."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^check-all:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1]
    testing = [line for line in recipe.splitlines() if " test" in line]
    assert [line for line in testing if "LOADPROOF_SIMULATIONS=all" not in line] == []
    assert {"test", "test-quiet", "test-long"} <= set(" ".join(testing).split())


def test_continuous_integration_runs_the_tests_and_the_main_job_and_each_night_the_rest():
    """As CONTRIBUTING describes it."""
    script = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert script[-2:] == ["make check", "main_job_passes"]
    nightly = (ROOT / ".github/workflows/nightly.yml").read_text(encoding="utf-8")
    assert "- run: make check-all" in nightly
    (image,) = re.findall(r"^ARG PYTHON_IMAGE=(.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"- run: docker pull {image}" in nightly
    assert f"LOADPROOF_EXPECTS: {' '.join(get_args(Part))}" in nightly
