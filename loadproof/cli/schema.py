"""`loadproof schema`: the JSON schemas of the files that people write and programs read."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Literal

import typer

from loadproof.run.machine.extras import JUDGE, require
from loadproof.scenario.scenario import Scenario
from loadproof.scenario.target.targetfile import TargetFile


def schema(
    of: Annotated[
        Literal["scenario", "target", "verdict", "gate", "compare", "capacity", "history"],
        typer.Argument(
            metavar="SCHEMA",
            help="What it describes: scenario or target (files); verdict, gate, compare, capacity or history (.json).",
        ),
    ] = "scenario",
) -> None:
    """Print a file format's JSON schema, for completion in editors."""
    if of not in {"scenario", "target"}:
        require(JUDGE)
        from loadproof.analysis.outputs.capacityfile import capacity_schema
        from loadproof.analysis.outputs.comparisonfile import comparison_schema
        from loadproof.analysis.outputs.gatefile import gate_schema
        from loadproof.analysis.outputs.historyfile import history_schema
        from loadproof.analysis.outputs.verdict.schema import verdict_schema

        schemas = {
            "verdict": verdict_schema,
            "gate": gate_schema,
            "compare": comparison_schema,
            "capacity": capacity_schema,
            "history": history_schema,
        }
        content = schemas[of]()
    else:
        content = (Scenario if of == "scenario" else TargetFile).model_json_schema()
    sys.stdout.write(json.dumps(content, indent=2) + "\n")
