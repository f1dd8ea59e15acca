"""The JSON schema of verdict.json."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from loadproof.analysis.outputs.verdict.foreignverdict import CsvVerdictJson, LogVerdictJson
from loadproof.analysis.outputs.verdict.runverdict import VerdictJson


def verdict_schema() -> dict[str, Any]:
    """The JSON schema of verdict.json, whether for a run, for Locust's CSVs, or for a request log."""
    # Of the file as written, because validation aliases (where a field comes from) are internal.
    schema = TypeAdapter(VerdictJson | CsvVerdictJson | LogVerdictJson).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "verdict.json", **schema}
