"""The commands `backup`, `restore` and `verify`: their output and exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest

from payments_api.backups import commands
from tests.payments_api.backups.books import back_up, flip, names, payload, transactions
from tests.payments_api.backups.storage.storage import KEY_ID, SECRET, credentials
from tests.servers import read_request, serving


def said(capsys, *arguments: object) -> tuple[int, str, str]:
    try:
        code = commands.main([str(argument) for argument in arguments])
    except SystemExit as ended:
        code = ended.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("DATABASE", "BACKUP_TO"):
        monkeypatch.delenv(name, raising=False)


def test_backup_prints_what_the_backup_contains(ledger, place, capsys):
    """In one line; a place on the same disk is reported separately."""
    code, out, err = said(capsys, "backup", "--database", ledger, "--to", place)
    assert code == 0
    assert re.fullmatch(
        rf"backed up {ledger} as {names(place)[0]}: taken \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC, "
        r"5 transactions, 4 accounts, 0 webhook events, \d+ bytes \(\d+ packed\)\n",
        out,
    ), out
    assert (
        err == f"{place}: is on the database's own file system, and would be lost with it; keep a copy elsewhere too\n"
    )


def test_variables_work_as_well_as_options(ledger, place, capsys, monkeypatch):
    """As in a crontab or a container."""
    monkeypatch.setenv("DATABASE", str(ledger))
    monkeypatch.setenv("BACKUP_TO", str(place))
    monkeypatch.setenv("BACKUP_KEEP_DAYS", "1")
    monkeypatch.setenv("BACKUP_KEEP_WEEKS", "0")
    monkeypatch.setenv("BACKUP_KEEP_MONTHS", "0")
    for _ in range(4):
        code, out, _ = said(capsys, "backup")
        assert code == 0
    assert out.endswith("deleted 1 old backup\n")
    assert said(capsys, "verify")[0] == 0


@pytest.mark.slow
def test_verify_reports_for_each_backup_whether_it_is_good(ledger, place, capsys):
    """One or all; exit code 1 if any is not."""
    good = back_up(ledger, place).manifest.name
    bad = back_up(ledger, place).manifest.name
    code, out, err = said(capsys, "verify", "--from", place, "--all")
    assert (code, err) == (0, "")
    assert [line.split(":")[0] for line in out.splitlines()] == [f"{bad} is good", f"{good} is good"]
    flip(payload(place, bad), 100)
    code, out, err = said(capsys, "verify", "--from", place, "--all")
    assert code == 1
    assert out.startswith(f"{good} is good: ")
    assert err == f"{bad}: is damaged, got a different SHA-256 than its manifest says; restore another backup\n"
    assert said(capsys, "verify", "--from", place)[0] == 1
    assert said(capsys, "verify", good, "--from", place)[0] == 0


WRONG = {
    "no place": (["backup", "--database", "x"], "BACKUP_TO: no destination for the backup; give --to, or set it\n"),
    "no database": (["backup", "--to", "{place}"], "BACKUP_TO: got a destination, but DATABASE is empty; a temporary"),
    "no such database": (["backup", "--database", "none", "--to", "{place}"], "none: there is no such database; name"),
    "no such place": (["verify", "--from", "none"], "BACKUP_TO: no such directory, got 'none'; make it, or mount what"),
    "nothing there": (
        ["verify", "--from", "{place}"],
        "{place}: there are no backups; name the destination that they were",
    ),
    "nothing at all": (["verify", "--all", "--from", "{place}"], "{place}: there are no backups; name the destination"),
    "restore from": (
        ["restore", "--database", "x"],
        "BACKUP_TO: no destination to read backups from; give --from, or set",
    ),
    "restore to": (["restore", "--from", "{place}"], "DATABASE: no path to restore to; give --database, or set it\n"),
    "two at once": (["verify", "x", "--all"], "argument --all: not allowed with argument name"),
    "no command": ([], "the following arguments are required: backup|restore|verify"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_invalid_input_exits_with_2_and_says_how_to_fix_it(place, capsys, mistake):
    """Nothing is written."""
    arguments, line = WRONG[mistake]
    code, out, err = said(capsys, *(argument.format(place=place) for argument in arguments))
    assert code == 2
    assert out == ""
    assert line.format(place=place) in err
    assert list(place.iterdir()) == []


@pytest.mark.slow
def test_secrets_are_never_printed(ledger, capsys, monkeypatch):
    """Nor are there options that take one."""
    for name, value in credentials("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    code, out, err = said(capsys, "backup", "--database", ledger, "--to", "s3://bucket/x")
    assert code == 1
    assert err.startswith("s3://bucket/x: can't be listed, got ")
    for text in (out, err, said(capsys, "backup", "--help")[1], said(capsys, "restore", "--help")[1]):
        assert KEY_ID not in text
        assert SECRET not in text


@pytest.mark.parametrize("command", ["backup", "restore", "verify"])
def test_help_describes_the_command_and_its_exit_codes(capsys, command):
    """And the environment variables that it needs."""
    code, out, _ = said(capsys, command, "--help")
    assert code == 0
    assert "exit codes: 0 done; 1 the backup, the check or the restore failed; 2 bad input; 130 interrupted." in out
    assert "AWS_SECRET_ACCESS_KEY" in out
    assert ("BACKUP_KEEP_DAYS" in out) is (command == "backup")


def python(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**commands.os.environ, **environment},
    )


@pytest.mark.long
@pytest.mark.process
def test_the_api_has_the_commands_too(ledger, place):
    """`python -m payments_api restore` and the rest; its own --help lists them."""
    name = back_up(ledger, place).manifest.name
    target = place.parent / "restored.sqlite3"
    done = python("payments_api", "restore", name, "--from", place, "--database", target)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"restored {name} to {target}: taken ")
    assert done.stdout.endswith("; the API starts on it, /balance/acct-000000 answers balance 999995\n")
    assert transactions(target) == transactions(ledger)
    again = python("payments_api", "restore", "--from", place, "--database", target)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.startswith(f"{target}: already exists; stop the API")
    assert "backup|restore|verify" in python("payments_api", "--help").stdout


@pytest.mark.process
def test_a_slow_backup_is_given_up_after_its_timeout(ledger):
    """Its current step is printed; neither lock nor leftovers block the next one."""

    def dripping(connection, _):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b" ")
            time.sleep(0.1)

    with serving(dripping) as url:
        done = python(
            "payments_api.backups",
            "backup",
            "--database",
            ledger,
            "--to",
            "s3://bucket",
            **credentials(url),
            BACKUP_TIMEOUT_S="2",
            BACKUP_REQUEST_TIMEOUT_S="30",
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "backup: not finished in time, got 2 s while writing to s3://bucket; see what is slow there, "
        "or raise BACKUP_TIMEOUT_S\n"
    )
    place = ledger.parent.parent / "place"
    place.mkdir()
    back_up(ledger, place)


def test_an_interrupt_is_reported_in_one_line(ledger, place, capsys, monkeypatch):
    """Ctrl-C prints no traceback."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "take_backup", interrupted)
    assert said(capsys, "backup", "--database", ledger, "--to", place) == (
        130,
        "",
        "backup: interrupted; run it again\n",
    )


def test_commands_that_only_read_reject_an_invalid_timeout_too(place, capsys, monkeypatch):
    """Otherwise they might wait for a day."""
    monkeypatch.setenv("BACKUP_TIMEOUT_S", "1h")
    code, _, err = said(capsys, "verify", "--from", place)
    assert (code, err) == (2, "BACKUP_TIMEOUT_S: not a number of seconds, got '1h'; give one from 1 to 86400\n")


def test_the_help_names_the_program_that_was_started(capsys):
    with pytest.raises(SystemExit):
        commands.main(["verify", "--help"], program="python -m shop.backups")
    assert capsys.readouterr().out.startswith("usage: python -m shop.backups verify ")
