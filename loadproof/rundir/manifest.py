"""manifest.json: what was run, against what, where, and how it ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from loadproof.errors import OutputError, Problem, RunDirectoryError
from loadproof.plan.phases import PhaseSpan  # noqa: TC001 - pydantic resolves it
from loadproof.rundir.files import MANIFEST, overwrite, write_whole
from loadproof.scenario.scenario import Scenario  # noqa: TC001 - pydantic resolves it
from loadproof.scenario.strict import Strict
from loadproof.scenario.target.auth import Auth  # noqa: TC001 - pydantic resolves it
from loadproof.scenario.target.limits import Access, DeclaredLimit, Limit, declared, embedded_access, embedded_limits
from loadproof.scenario.target.operations import Endpoints
from loadproof.scenario.target.way import TlsSettings  # noqa: TC001 - pydantic resolves it

FORMAT: Final = 1
USERS_CODE: Final = "users' code"
"""The key among the versions for a digest of the users' files."""


class RedisFacts(Strict):
    """Where an embedded target's limits were shared."""

    address: str
    """Without user, password and options."""
    started_by_run: bool
    """Started for this run, rather than the one of REDIS_URL."""


class TargetFacts(Strict):
    """What was loaded; contains no secrets."""

    kind: Literal["embedded", "own"]
    base_url: str
    """Empty until an embedded target is ready."""
    behind: str | None = None
    """The target's own base URL, if a proxy in front of it injects network faults."""
    limits: dict[str, Limit]
    """Declared limits per endpoint, as in the target file; the embedded target's as text."""
    access: Access | None = None
    """As in the target file."""
    headers: dict[str, str] = Field(default_factory=dict)
    """As in the target file: secrets are written as ${NAME}."""
    auth: Auth | None = None
    """As in the target file: secrets are names of environment variables."""
    account_ids: list[str] | None = None
    authorities: dict[str, str] = Field(default_factory=dict)
    """File and directory of the certificates against which an https target was verified."""
    tls: TlsSettings | None = None
    """As in the target file, with absolute paths; each process reads the files for itself."""
    proxy: str | None = None
    """As in the target file: user and password are written as ${NAME}."""
    faults: str | None = None
    """The faults that an embedded target was told to inject."""
    redis: RedisFacts | None = None
    """None: each of its processes counted by itself, or it is your own target."""
    endpoints: Endpoints = Field(default_factory=Endpoints)
    exclusive_accounts: bool = False
    """Nobody but the run moves money to or from its accounts."""

    @property
    def address(self) -> str:
        """The target's own base URL, even if a proxy was in front of it."""
        return self.behind or self.base_url


Ending = Literal[
    "running", "completed", "interrupted", "terminated", "aborted", "target_died", "generator_died", "disk_full"
]


class Manifest(Strict):
    """What was run. `start_unix_s` is second 0 of every other file."""

    format: int = FORMAT
    run_id: str
    scenario: Scenario
    scenario_file: str
    seed: int
    command: str
    target: TargetFacts
    phases: list[PhaseSpan]
    workers: int
    revision: str
    """Of loadproof's own source."""
    release: str = ""
    """The release that was loaded, as the user named it; empty if not given."""
    versions: dict[str, str]
    host: dict[str, str]
    start_unix_s: float
    end_unix_s: float | None = None
    ending: Ending = "running"
    ending_detail: str = ""

    @property
    def declared_limits(self) -> dict[str, DeclaredLimit]:
        """By request name; for the embedded target with more detail than their texts have."""
        if self.target.kind == "embedded":
            return embedded_limits(self.scenario.settings)
        return {name: declared(limit) for name, limit in self.target.limits.items()}

    @property
    def release_shown(self) -> str:
        """The release that was loaded: as it was named, or the embedded target's revision; empty if unknown."""
        return self.release or (self.revision if self.target.kind == "embedded" else "")

    @property
    def declared_access(self) -> Access | None:
        is_embedded = self.target.kind == "embedded"
        return embedded_access(self.scenario.settings) if is_embedded else self.target.access


def write_manifest(run: Path, manifest: Manifest) -> None:
    """Written completely, or over the previous one if there is no room for both; OutputError if neither works."""
    try:
        write_whole(run / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    except OutputError:
        # Without indentation it is shorter than any version written before.
        if not overwrite(run / MANIFEST, manifest.model_dump_json()):
            raise


def read_manifest(run: Path) -> Manifest:
    """The manifest of a run directory.

    RunDirectoryError if there is none, or if it has another format or other fields.
    """
    path = run / MANIFEST
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        # An OSError's own text repeats the path.
        why = error.strerror if isinstance(error, OSError) else error
        remedy = "give the path of a directory that `loadproof run` created"
        raise RunDirectoryError(Problem(str(path), f"no readable manifest: {why}", remedy)) from None
    written_format = content.get("format") if isinstance(content, dict) else None
    if written_format != FORMAT:
        remedy = f"read it with the loadproof that wrote it (this one reads format {FORMAT})"
        raise RunDirectoryError(Problem(str(path), "another format version", remedy, got=str(written_format)))
    scenario = content.get("scenario")
    if isinstance(scenario, dict) and scenario.get("http_client") == "loadproof":
        # A removed key: runs made with our own client are still readable, those made with another one aren't.
        del scenario["http_client"]
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f"{path} {'.'.join(map(str, first['loc']))}"
        raise RunDirectoryError(Problem(where, first["msg"].lower(), "restore the file as it was written")) from None
