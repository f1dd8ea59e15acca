"""A log that was written by something other than Python."""

from __future__ import annotations

from loadproof.run.processes.maskedlog import mask_file
from loadproof.scenario.masking.masking import Masker


def test_a_log_with_a_secret_is_rewritten(tmp_path):
    """Other files stay untouched, and a missing one is no error."""
    log, other = tmp_path / "generator.log", tmp_path / "other.log"
    log.write_bytes(b"* Authorization: Bearer t0ken-t0ken\n\xff\n")
    other.write_bytes(b"\xff\n")
    before = other.stat()
    for path in (log, other, tmp_path / "none.log"):
        mask_file(path, Masker({"TOKEN": "t0ken-t0ken"}))
    assert log.read_text() == "* Authorization: Bearer ${TOKEN}\n\ufffd\n"
    assert other.stat().st_ino == before.st_ino
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generator.log", "other.log"]
