"""Users' code prints whole lines without secrets, however it splits them."""

from __future__ import annotations

import io
import logging

import pytest

from loadproof.generator.guards.maskedoutput import MaskedOutput
from loadproof.scenario.masking.masking import Masker

TOKEN = "t0ken-t0ken"


@pytest.fixture
def output() -> tuple[MaskedOutput, io.StringIO]:
    written = io.StringIO()
    return MaskedOutput(written, Masker({"TOKEN": TOKEN})), written


def test_a_line_in_pieces_shows_no_secret(output):
    """The last line ends with the stream."""
    masked, written = output
    for piece in ("a ", TOKEN[:4], TOKEN[4:], "\nb", "\n", TOKEN[:5]):
        masked.write(piece)
    assert written.getvalue() == "a ${TOKEN}\nb\n"
    masked.write(TOKEN[5:])
    masked.flush()
    assert written.getvalue() == "a ${TOKEN}\nb\n${TOKEN}"


@pytest.mark.slow
def test_an_endless_line_is_written_in_pieces(output):
    """Without cutting a secret, and without keeping all of it."""
    masked, written = output
    for number in range(30_000):
        masked.write(f"{number} {TOKEN} ")
    so_far = written.getvalue()
    assert len(so_far) > 100_000
    masked.flush()
    assert written.getvalue() == "".join(f"{number} ${{TOKEN}} " for number in range(30_000))


def test_a_logger_with_a_traceback_shows_no_secret(output):
    """It writes to the stream it was given."""
    masked, written = output
    record = logging.LogRecord("own", logging.ERROR, "own.py", 1, "lost %s", (TOKEN,), None)
    record.exc_info = RuntimeError, RuntimeError(TOKEN), None
    logging.StreamHandler(masked).handle(record)
    assert TOKEN not in written.getvalue()
    assert "lost ${TOKEN}" in written.getvalue()
    assert "RuntimeError: ${TOKEN}" in written.getvalue()
