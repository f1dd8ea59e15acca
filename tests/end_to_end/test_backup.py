"""A run that backs the embedded target up in the middle of its payments, and tries what it took."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from loadproof.analysis.audit.backup import AT_REST, THERE, VERIFIED
from loadproof.rundir import files
from loadproof.rundir.commands import read_commands
from tests.commands import found, in_process, only_run, scenario_file

pytestmark = [pytest.mark.process, pytest.mark.long]
BACKED_UP = {
    "mix": {"ledger": {"share": "100 %", "every": "100 ms", "requests": ["transactions", "balance"]}},
    "phases": [{"name": "steady", "duration": "9 s", "users": 4}],
    "faults": [{"fault": "backup", "phase": "steady", "at": "2 s", "lasts": "7 s"}],
    "thresholds": [{"audit": "backup", "detects": "1 in 20"}, {"expect": "goodput_ratio >= 9 %"}],
}


def test_the_embedded_target_is_backed_up_restored_and_judged_again_from_files_alone(tmp_path):
    """By its own commands, without permission; its span is in the events and the report, and nothing stays."""
    in_process("run", scenario_file(tmp_path, **BACKED_UP), "--out", tmp_path / "out")
    run = only_run(tmp_path / "out")
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
    in_process("report", run)
    assert (run / files.AUDIT).read_bytes() == judged
