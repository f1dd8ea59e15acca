"""Compresses and decompresses files in bounded memory, hashing them along the way."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import zlib
from typing import TYPE_CHECKING, Final

from payments_api.backups.manifest import HashedFile
from payments_api.backups.mistakes import UnusableError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_CHUNK_BYTES: Final = 1 << 20
_LEVEL: Final = 3
"""Ledgers are ids and JSON: a higher level takes twice as long to save a tenth."""


def pack(source: Path, packed: Path) -> None:
    with source.open("rb") as plain, packed.open("wb") as written:
        # Without name and time, so that equal databases have equal hashes.
        with gzip.GzipFile("", "wb", _LEVEL, written, mtime=0) as compressed:
            shutil.copyfileobj(plain, compressed, _CHUNK_BYTES)
        _flush(written)


def unpack(packed: Path, target: Path, *, expected: HashedFile, name: str) -> None:
    """Unpack to `target`; raises UnusableError if it isn't as expected, before it grows beyond the expected size."""
    digest, missing = hashlib.sha256(), expected.bytes
    try:
        with gzip.open(packed) as compressed, target.open("wb") as written:
            while chunk := compressed.read(_CHUNK_BYTES):
                missing -= len(chunk)
                if missing < 0:
                    break
                digest.update(chunk)
                written.write(chunk)
            _flush(written)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise damaged(name, str(error)) from None
    if missing or digest.hexdigest() != expected.sha256:
        raise damaged(name, "another database than its manifest describes")


def hash_file(path: Path) -> HashedFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return HashedFile(bytes=path.stat().st_size, sha256=digest)


def check_hash(path: Path, expected: HashedFile, *, name: str) -> None:
    digest = hash_file(path)
    if digest.bytes != expected.bytes:
        raise damaged(name, f"{digest.bytes} bytes instead of {expected.bytes}")
    if digest.sha256 != expected.sha256:
        raise damaged(name, "a different SHA-256 than its manifest says")


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def damaged(name: str, got: str) -> UnusableError:
    return UnusableError(name, "is damaged", "restore another backup", got=got)
