"""Writes gate.json, which says what each scenario came to and how the gate ended, and the files next to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from loadproof.analysis.outputs.ci.judged import worst_exit_code
from loadproof.analysis.outputs.gate import gate_junit, gate_markdown
from loadproof.analysis.outputs.jsonmodel import JsonModel, by, from_
from loadproof.rundir import files

if TYPE_CHECKING:
    from pathlib import Path

    from loadproof.analysis.outputs.ci.judged import Judged

FORMAT = 1


class GatedJson(JsonModel):
    """A scenario, or its comparison with a baseline; `verdict` is null if nothing was measured, `reason` says why.

    `run` is the name of its directory, next to gate.json; null without a run.
    """

    scenario: str
    verdict: Literal["PASS", "FAIL", "INCONCLUSIVE", "INVALID"] | None = from_("verdict_word")
    reason: str
    run: Annotated[str | None, by(lambda run: run.path.name)]


class GateJson(JsonModel):
    """`exit_code` is the gate's own; `inconclusive` says whether INCONCLUSIVE passes or fails it."""

    format: int
    exit_code: int
    inconclusive: Literal["pass", "fail"]
    scenarios: list[GatedJson]


@dataclass(frozen=True)
class _OfGate:
    """What GateJson is read from."""

    scenarios: Sequence[Judged]
    exit_code: int
    inconclusive: str
    format: int = FORMAT


def gate_schema() -> dict[str, Any]:
    """The JSON schema of gate.json."""
    schema = GateJson.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "gate.json"}


def gate_json(gated: Sequence[Judged], *, lenient: bool) -> str:
    code = worst_exit_code(gated, lenient=lenient)
    return GateJson.of(_OfGate(gated, int(code), "pass" if lenient else "fail")).text()


def write_gate(path: Path, gated: Sequence[Judged], *, lenient: bool) -> None:
    """gate.json, summary.md and junit.xml; OutputError if the directory can't be written."""
    texts = {
        "gate.json": gate_json(gated, lenient=lenient),
        files.SUMMARY: gate_markdown(gated),
        files.JUNIT: gate_junit(gated),
    }
    files.write_all({path / name: text for name, text in texts.items()})
