"""A backup's manifest: when it was made, from what, and its hashes; tampering is detected."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from payments_api.backups.mistakes import UnusableError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = 1
FUTURE: Final = timedelta(minutes=5)
"""A backup dated further ahead than this was made with a wrong clock: its date proves nothing."""
_LARGEST_BYTES: Final = 65_536
_STAMP: Final = "%Y%m%dT%H%M%S.%f"
_MICROSECONDS: Final = 3
"""Digits of the time that a name leaves out."""
_NAME: Final = re.compile(
    r"(?P<stem>[A-Za-z0-9_.]{1,64})-(?:(?P<ledger_id>[0-9a-f]{16})-(?P<sequence>\d{6,9})-)?"
    r"(?P<stamp>\d{8}T\d{6}\.\d{3})Z-[0-9a-f]{8}",
    re.ASCII,
)
MANIFEST_SUFFIX: Final = ".json"
PAYLOAD_SUFFIX: Final = ".sqlite3.gz"
_LedgerId = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class HashedFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: Annotated[int, Field(ge=0)]
    sha256: _Digest


class Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Annotated[int, Field(ge=1)] = FORMAT
    name: str
    created_at: AwareDatetime
    """Everything acknowledged before this is in the copy."""
    ledger_id: _LedgerId | None = None
    """None in backups of ledgers without an id."""
    schema_version: Annotated[int, Field(ge=1)]
    sqlite: str
    payload: HashedFile
    """The compressed file, as stored."""
    database: HashedFile
    contents: dict[str, Annotated[int, Field(strict=True)]]

    def to_bytes(self) -> bytes:
        content = self.model_dump(mode="json")
        return json.dumps(content | {"sha256": _digest_of(content)}, indent=1).encode() + b"\n"


class BackupName(NamedTuple):
    """`ledger-5f0c6a1b2d3e4f50-000042-20260131T030000.000Z-0a1b2c3d`.

    The database's stem, its id, the backup's number in its place, the time, and a random suffix that distinguishes two
    with the same time. Id and number are missing if the ledger had no id.
    """

    text: str
    stem: str
    ledger_id: str | None
    sequence: int
    taken_at: datetime

    @classmethod
    def parse(cls, text: str) -> BackupName | None:
        match = _NAME.fullmatch(text)
        try:
            taken_at = match and datetime.strptime(f"{match['stamp']}+0000", f"{_STAMP}%z")
        except ValueError:
            return None
        if match is None or taken_at is None:
            return None
        return cls(text, match["stem"], match["ledger_id"], int(match["sequence"] or 0), taken_at)

    @property
    def ledger(self) -> str:
        """Key that all backups of a database share, whatever its file is called; the file's stem if it has no id."""
        return ledger_key(self.stem, self.ledger_id)

    @property
    def order(self) -> tuple[int, datetime, str]:
        """Sort key for backups of one ledger: the order in which they were taken, whatever the clocks said."""
        return self.sequence, self.taken_at, self.text


def ledger_key(stem: str, ledger_id: str | None) -> str:
    # No stem contains a space, so none can be mistaken for an id.
    return stem if ledger_id is None else f"id {ledger_id}"


def new_name(
    database: Path, taken_at: datetime, unique: str, *, ledger_id: str | None = None, sequence: int = 0
) -> str:
    whose = "" if ledger_id is None else f"{ledger_id}-{sequence:06d}-"
    return f"{stem_of(database)}-{whose}{taken_at.strftime(_STAMP)[:-_MICROSECONDS]}Z-{unique}"


def stem_of(database: Path) -> str:
    """The beginning of its backups' names."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", database.stem)[:64] or "_"


def missing(file: str, where: str) -> UnusableError:
    """The error for a backup of whose two files one is missing."""
    name = file.removesuffix(PAYLOAD_SUFFIX).removesuffix(MANIFEST_SUFFIX)
    return UnusableError(name, f"its file {file} is missing in {where}", "restore another backup")


def parse_manifest(text: bytes, *, name: str) -> Manifest:
    """The manifest of the backup with this name; UnusableError if it isn't one."""
    try:
        content: Any = json.loads(text[:_LARGEST_BYTES])
        is_newer = content["format"] > FORMAT
        is_whole = content.pop("sha256") == _digest_of(content)
        manifest = Manifest.model_validate_json(json.dumps(content)) if is_whole and not is_newer else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError):
        raise UnusableError(name, "its manifest can't be read", "restore another backup") from None
    if is_newer:
        remedy = "use the version that created it"
        raise UnusableError(name, f"its format is newer than {FORMAT}", remedy, got=ascii(content["format"])[:20])
    if manifest is None:
        raise UnusableError(name, "its manifest is damaged: its own hash doesn't match", "restore another backup")
    if manifest.name != name:
        raise UnusableError(
            name, "its manifest is another backup's", "restore another backup", got=ascii(manifest.name)[:100]
        )
    return manifest


def _digest_of(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
