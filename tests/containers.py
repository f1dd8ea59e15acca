"""The Docker engine of this machine, if there is one."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

IMAGE = os.environ.get("PYTHON_IMAGE", "python:3.11-slim-bookworm")
"""The base image of all images."""


def docker(*arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    command = ["docker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def need_engine() -> None:
    """Skip the test unless an engine with the base image responds."""
    if shutil.which("docker") is None or docker("info").returncode:
        pytest.skip("no Docker engine answers on this machine")
    if docker("image", "inspect", IMAGE).returncode:
        pytest.skip(f"the base image {IMAGE} is not on this machine (PYTHON_IMAGE names another)")
