"""verdict.json of Locust's CSVs and of request logs, checked by an independent validator."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest

from simulation.locustcsvs import stats_row, write_history, write_stats
from tests.commands import ROOT, in_process

CAPTURES = sorted((ROOT / "tests/captures").glob("*/run_verdict.json"))


def errors(verdict) -> list[str]:
    schema = json.loads((ROOT / "reports/verdict.schema.json").read_text(encoding="utf-8"))
    return [error.message for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(verdict)]


def check(path):
    """It matches, and wouldn't if anything were missing."""
    verdict = json.loads(path.read_text(encoding="utf-8"))
    assert errors(verdict) == []
    for key in verdict:
        assert errors({other: value for other, value in verdict.items() if other != key}), key


@pytest.mark.slow
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.parent.name)
def test_verdicts_on_csvs_match_the_published_schema(path):
    """For every Locust version, with thresholds and without."""
    check(path)


def test_the_schema_covers_locusts_percentiles():
    """Their names come from the file's columns, and are in no list."""
    (verdict,) = (json.loads(path.read_text(encoding="utf-8")) for path in CAPTURES[:1])
    assert verdict["all"]["p95_s"].keys() == {"value", "low", "high", "n", "confidence"}
    verdict["all"]["p95_s"] = 0.2
    assert errors(verdict)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit_ms", "error_ratio", "code"), [(None, 0.5, 0), (1, 0.5, 1), (1000, 0.5, 3), (1000, 0.0, 0)]
)
def test_verdicts_on_csvs_match_it_whatever_the_word(tmp_path, limit_ms, error_ratio, code):
    """From the command line."""
    prefix = write_history(tmp_path / "run", users=lambda s: s, rate_rps=lambda s: s, error_ratio=lambda _: error_ratio)
    write_stats(prefix, [stats_row("/a"), stats_row("/none", requests=0), stats_row("Aggregated", method="")])
    assert in_process("report", prefix, *_thresholds(tmp_path, limit_ms)).returncode == code
    check(tmp_path / "run_verdict.json")


@pytest.mark.slow
@pytest.mark.parametrize(("limit_ms", "code"), [(None, 0), (1, 1), (1000, 0)])
def test_verdicts_on_logs_match_the_published_schema(tmp_path, limit_ms, code):
    """PASS, FAIL and none."""
    path = tmp_path / "log.csv"
    lines = [f"{number},a,5,{'timeout' if number == 3 else 200}" for number in range(900)]
    path.write_text("\n".join(["seconds,name,response_ms,status", *lines]))
    assert in_process("report", "--log", path, *_thresholds(tmp_path, limit_ms)).returncode == code
    check(tmp_path / "log_verdict.json")


def _thresholds(directory, limit_ms) -> list[object]:
    if limit_ms is None:
        return []
    path = directory / "thresholds.yaml"
    path.write_text(f"thresholds: [{{expect: p(50) < {limit_ms} ms}}]")
    return ["--thresholds", path]
