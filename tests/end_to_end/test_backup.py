"""A run that backs the embedded target up while payments go on, and then tries the backup."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from loadproof.analysis.audit.backup.backup import AT_REST, THERE, VERIFIED
from loadproof.rundir import files
from loadproof.rundir.commands import read_commands
from tests.commands import code_of, found, in_process, only_run, scenario_file
from tests.loadproof.run.audits.vaultserver import serving_vault, target_of

pytestmark = [pytest.mark.process, pytest.mark.long]
BACKED_UP = {
    "mix": {"ledger": {"share": "100 %", "every": "100 ms", "requests": ["transactions", "balance"]}},
    "phases": [{"name": "steady", "duration": "9 s", "users": 4}],
    "faults": [{"fault": "backup", "phase": "steady", "at": "2 s", "lasts": "7 s"}],
    "thresholds": [{"audit": "backup", "detects": "1 in 20"}, {"expect": "goodput_ratio >= 9 %"}],
}


def test_the_embedded_target_is_backed_up_restored_and_judged_again_from_files_alone(tmp_path):
    """By its own commands, without permission; events and report show the backup's span, and nothing is left behind."""
    done = in_process("run", scenario_file(tmp_path, **BACKED_UP), "--out", tmp_path / "out")
    run = only_run(tmp_path / "out")
    assert done.returncode == code_of(run), done.stdout + done.stderr
    (backup,) = json.loads((run / files.AUDIT).read_text())["audits"]
    words = {evidence["promise"]: evidence["word"] for evidence in backup["evidence"]}
    assert set(words.values()) == {"PASS"}
    assert {THERE, AT_REST, VERIFIED} <= words.keys()
    once = ["backup", "verify", "restore", "serve"]
    assert [(done.name, done.fault) for done in read_commands(run)] == [
        ("backup", 0),
        *((name, None) for name in (*once[1:], *once)),
    ]
    restored = [
        re.search(r"restored \S+ to (\S+):", done.output)[1] for done in read_commands(run) if done.name == "restore"
    ]
    assert len(set(restored)) == 2
    assert not any(Path(path).parent.parent.exists() for path in restored)
    assert "WEBHOOK_SECRET" not in (run / files.COMMANDS).read_text()
    assert found(run, "on purpose: backup of target at 2") == {"NOTE"}
    assert "backup of target" in (run / files.REPORT).read_text()
    judged = (run / files.AUDIT).read_bytes()
    assert in_process("report", run).returncode == code_of(run)
    assert (run / files.AUDIT).read_bytes() == judged


def test_another_backend_is_backed_up_by_its_own_commands_if_allowed(tmp_path):
    """Here by copying the live file without its log, which the report finds; nothing runs without permission."""
    file, target = tmp_path / "vault.sqlite3", tmp_path / "target.yaml"
    faults = [
        BACKED_UP["faults"][0] | {"lasts": "3 s"},
        {"fault": "command", "phase": "steady", "lasts": "1 s", "name": "cut", "undo": "mend"},
    ]
    mix = {"transactions": {"share": "100 %", "every": "50 ms"}}
    changed = BACKED_UP | {"mix": mix, "faults": faults, "phases": [{"name": "steady", "duration": "5 s", "users": 4}]}
    scenario = scenario_file(tmp_path, **changed)
    with serving_vault(file) as url:
        content = target_of(url, file, backup="live file")
        content["commands"] |= {"cut": ["touch", "cut"], "mend": ["mv", "cut", "mended"]}
        target.write_text(yaml.safe_dump(content))
        options = ("--target", target, "--out", tmp_path / "out")
        refused = in_process("run", scenario, *options)
        assert (refused.returncode, "then pass --allow-commands" in refused.stderr) == (2, True)
        assert not (tmp_path / "out").exists()
        done = in_process("run", scenario, *options, "--allow-commands")
    run = only_run(tmp_path / "out")
    assert done.returncode == code_of(run), done.stdout + done.stderr
    (audit,) = json.loads((run / files.AUDIT).read_text())["audits"]
    failed = {evidence["promise"] for evidence in audit["evidence"] if evidence["word"] == "FAIL"}
    assert failed == {THERE, AT_REST}
    assert found(run, "on purpose: ") == {"NOTE"}
    assert "command cut" in (run / files.REPORT).read_text()
    assert (tmp_path / "mended").exists()
