"""Checks that a worker has the same locustfile as its master: each process loads its own copy."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from loadproof.errors import Problem
from loadproof.users.user import api_users

if TYPE_CHECKING:
    from collections.abc import Iterator

    from locust.env import Environment

    from loadproof.rundir.manifest import Manifest


def digest_of(environment: Environment) -> str:
    """SHA-256 of the locustfiles this process has loaded, without our own, which is the first, and without imports."""
    return sha256(b"\0".join(path.read_bytes() for path in _loaded_files(environment))).hexdigest()


def copy_problems(manifest: Manifest, digest: str, environment: Environment) -> Iterator[Problem]:
    """Reasons why this worker's users can't take part; `digest` is the master's."""
    if manifest.scenario.locustfile is None:
        missing = [
            kind for kind in manifest.scenario.mix if kind not in {cls.endpoint for cls in api_users(environment)}
        ]
        if missing:
            what, remedy = "it has no users of the master's mix", "start it with the --locustfiles of the master's run"
            yield Problem("worker", what, remedy, got=", ".join(missing))
    elif digest_of(environment) != digest:
        files = ", ".join(path.name for path in _loaded_files(environment))
        remedy = f"start it with --locustfile and a copy of the master's {Path(manifest.scenario.locustfile).name}"
        yield Problem(
            "worker", "it has other users than its master, whose locustfile is another one", remedy, got=files
        )


def _loaded_files(environment: Environment) -> list[Path]:
    return [Path(path) for path in (environment.parsed_locustfiles or ())[1:]]
