"""The Docker engine of this machine, if there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.missing import missing

IMAGE = os.environ.get("PYTHON_IMAGE", "python:3.11-slim-bookworm")
"""The base image of all images."""


def docker(*arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    command = ["docker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def need_engine() -> None:
    """Skip the test unless an engine with the base image responds; fail it if one is expected."""
    if shutil.which("docker") is None or docker("info").returncode:
        missing("docker", "no Docker engine answers on this machine")
    if docker("image", "inspect", IMAGE).returncode:
        missing("docker", f"the base image {IMAGE} is not on this machine (PYTHON_IMAGE names another)")


def in_containers(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test of images and containers, whose names are fixed: one such test at a time, at night."""
    for mark in (pytest.mark.process, pytest.mark.long, pytest.mark.xdist_group("docker")):
        test = mark(test)
    return test
