"""A run with audits of ledger and webhooks: asked, judged, and judged again from its files alone."""

from __future__ import annotations

import json

import pytest
import yaml

from loadproof.rundir import files
from tests.commands import code_of, in_process, only_run, scenario_file
from tests.loadproof.run.audits.bankserver import ACCOUNTS, bank_server

pytestmark = [pytest.mark.process, pytest.mark.long]

PAYERS = {
    "mix": {
        "ledger": {"share": "80 %", "every": "50 ms", "requests": ["transactions", "balance"]},
        "webhooks": {"share": "20 %", "every": "100 ms"},
    },
    "phases": [{"name": "steady", "duration": "3 s", "users": 10}],
}


def words(run) -> dict[str, str]:
    (audits,) = [json.loads((run / files.AUDIT).read_text())["audits"]]
    return {evidence["promise"]: evidence["word"] for audit in audits for evidence in audit["evidence"]}


def test_a_correct_target_passes_and_is_not_asked_again(tmp_path):
    """The embedded target, whose ledger an audit may see; third-party tools can check its history, too."""
    thresholds = [{"audit": name, "detects": "1 in 20"} for name in ("ledger", "webhooks")]
    thresholds.append({"expect": "goodput_ratio >= 9 %"})
    file = scenario_file(tmp_path, **PAYERS, thresholds=thresholds)
    in_process("run", file, "--out", tmp_path / "out")
    run = only_run(tmp_path / "out")
    assert set(words(run).values()) == {"PASS"}
    assert len(words(run)) == 16
    before = (run / files.AUDIT).read_bytes()
    in_process("report", run)
    assert (run / files.AUDIT).read_bytes() == before
    operations = json.loads(in_process("elle", run, "--model", "set-full").stdout)
    added = {each["value"] for each in operations if (each["f"], each["type"]) == ("add", "ok")}
    assert len(added) > 100
    assert added <= set(operations[-1]["value"])


def test_a_target_that_lets_one_key_pay_twice_fails(tmp_path):
    """Even though each of its users was served well."""
    thresholds = [{"audit": "ledger", "detects": "1 in 20"}, {"expect": "goodput_ratio >= 9 %"}]
    mix = {"ledger": {**PAYERS["mix"]["ledger"], "share": "100 %"}}
    file = scenario_file(tmp_path, **PAYERS | {"mix": mix, "settings": {}}, thresholds=thresholds)
    with bank_server("checks, then inserts") as (bank, target):
        content = target.model_dump(mode="json", exclude_unset=True)
        (tmp_path / "target.yaml").write_text(yaml.safe_dump(content | {"accounts": ACCOUNTS}))
        done = in_process("run", file, "--target", tmp_path / "target.yaml", "--out", tmp_path / "out")
    assert len(bank.rows) > len(bank.keys)
    run = only_run(tmp_path / "out")
    assert words(run)["the same key twice is one payment"] == "FAIL"
    assert done.returncode == code_of(run)
