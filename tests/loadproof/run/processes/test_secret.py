"""Master and workers on several machines need a good secret, and refuse to start without one."""

from __future__ import annotations

import pytest

from loadproof.run.machine.ports import free_port
from tests.loadproof.cli.refusals import refused

SHORT = "hunter2-hunter2"


def commands() -> list[tuple[object, ...]]:
    address = f"127.0.0.1:{free_port()}"
    return [("run", "scenarios/smoke.yaml", "--listen", address), ("worker", address, "--once")]


@pytest.mark.parametrize("number", [0, 1], ids=["run --listen", "worker"])
def test_a_missing_secret_is_refused_with_the_command_that_makes_one(number):
    """On both sides, before anything starts."""
    text = refused(*commands()[number])
    assert text.startswith(("--listen: no secret", "worker: no secret"))
    assert "set LOADPROOF_SECRET on both sides" in text
    assert "python3 -c 'import secrets; print(secrets.token_hex(32))'" in text


@pytest.mark.parametrize("number", [0, 1], ids=["run --listen", "worker"])
def test_a_short_secret_is_refused_and_not_repeated(number, tmp_path):
    """From a variable or a file."""
    text = refused(*commands()[number], LOADPROOF_SECRET=SHORT)
    assert "LOADPROOF_SECRET: a secret of fewer than 32 characters can be guessed, got '15 characters'" in text
    (tmp_path / "secret").write_text(f"{SHORT}\n")
    from_file = refused(*commands()[number], LOADPROOF_SECRET_FILE=str(tmp_path / "secret"))
    assert "LOADPROOF_SECRET_FILE: a secret of fewer" in from_file
    assert "hunter2" not in text + from_file


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """With the system's reason."""
    text = refused(*commands()[1], LOADPROOF_SECRET_FILE=str(tmp_path / "none"))
    assert "LOADPROOF_SECRET_FILE: can't be read: No such file or directory, got " in text


def test_two_secrets_are_refused():
    """It would be unclear which one counts."""
    text = refused(*commands()[1], LOADPROOF_SECRET="a" * 64, LOADPROOF_SECRET_FILE="somewhere")
    assert "both LOADPROOF_SECRET and LOADPROOF_SECRET_FILE are set" in text
