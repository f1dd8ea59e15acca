"""The API behaves as its OpenAPI document says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.profiles import simulations

pytestmark = pytest.mark.process

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,unsupported_method,negative_data_rejection"
)


@pytest.mark.long
def test_generated_requests_get_only_documented_answers(shared_target, tmp_path):
    """Status, content type, headers and body of each answer, for valid and invalid requests."""
    done = subprocess.run(
        [
            *(SCHEMATHESIS, "run", f"{shared_target.url}/openapi.json", "--checks", CHECKS),
            *("--max-examples", str(simulations(60)), "--seed", "1", "--generation-deterministic", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_every_error_is_documented_as_a_problem(shared_target):
    """With RFC 9457's media type, and Retry-After wherever 429 is possible."""
    document = requests.get(f"{shared_target.url}/openapi.json", timeout=5).json()
    assert "HTTPValidationError" not in str(document["paths"])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if status >= "400":
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)
                if status == "429":
                    assert "Retry-After" in answer["headers"]


def test_every_operation_has_a_summary_and_a_tag(shared_target):
    """For people who read it as documentation."""
    document = requests.get(f"{shared_target.url}/openapi.json", timeout=5).json()
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["tags"]
            assert operation["summary"]
            assert operation["description"]
