"""`loadproof schema`: schemas for editors and validators."""

from __future__ import annotations

import json

import pytest

from tests.commands import ROOT, in_process
from tests.loadproof.cli.refusals import refused


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        ([], "scenarios/scenario.schema.json"),
        (["target"], "scenarios/target.schema.json"),
        (["verdict"], "reports/verdict.schema.json"),
        (["gate"], "reports/gate.schema.json"),
        (["compare"], "reports/compare.schema.json"),
        (["capacity"], "reports/capacity.schema.json"),
        (["history"], "reports/history.schema.json"),
    ],
)
def test_the_schema_is_printed(arguments, file):
    """As `make schema` writes it, and has written it."""
    done = in_process("schema", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == json.loads((ROOT / file).read_text(encoding="utf-8"))


def test_an_unknown_schema_is_refused():
    """With the list of schemas."""
    assert "'scenario', 'target', 'verdict', 'gate', 'compare'" in refused("schema", "run")
