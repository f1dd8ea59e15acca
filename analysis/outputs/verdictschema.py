"""The JSON schema of verdict.json."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from loadproof.analysis.outputs.foreignverdict import CsvVerdictJson, LogVerdictJson
from loadproof.analysis.outputs.runverdict import VerdictJson


def verdict_schema() -> dict[str, Any]:
    """The JSON schema of verdict.json: of a run, of Locust's CSVs, or of a request log."""
    # As written: where a field comes from is an internal matter.
    schema = TypeAdapter(VerdictJson | CsvVerdictJson | LogVerdictJson).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "verdict.json", **schema}
