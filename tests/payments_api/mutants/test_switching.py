"""A named mutant is switched on, only where strangers have no access, and announced once."""

from __future__ import annotations

import pytest
import requests

import payments_api.__main__ as program
from drills.target import running_target
from payments_api.mutants.catalogue import MUTANTS
from payments_api.mutants.mutant import Mutant
from payments_api.mutants.switching import switch_on
from payments_api.settings import SettingsError


@pytest.fixture
def applied(monkeypatch) -> list[tuple[object, ...]]:
    """The mutants that would have been applied to this process."""
    found: list[tuple[object, ...]] = []
    monkeypatch.setattr(Mutant, "apply", lambda self, _, number: found.append((self.name, number)))
    return found


@pytest.mark.parametrize(("text", "number"), [("stale-cache", None), ("commit-lost", None), ("commit-lost:200", 200)])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.0.1", "::1", None])
def test_the_named_mutant_is_on(applied, capsys, text, number, host):
    """With its own number, if it has one at all."""
    switch_on({"TARGET_MUTANT": text}, host=host)
    assert applied == [(text.partition(":")[0], number)]
    line = f"payments_api: TARGET_MUTANT={text} is on: this API breaks a promise on purpose\n"
    assert capsys.readouterr().err == line


def test_no_mutant_is_on_by_default(applied, capsys):
    switch_on({"TARGET_MUTANT": ""}, host="0.0.0.0")
    switch_on({}, host="0.0.0.0")
    assert applied == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "api.example.test", "localhost", ""])
def test_no_mutant_is_on_where_strangers_have_access(applied, host):
    """Both errors are reported if the name is wrong, too; a host name is refused, since it may resolve to anything."""
    with pytest.raises(SettingsError, match=f"got 'stale-cache'; only on loopback, and not on {host or 'all'}"):
        switch_on({"TARGET_MUTANT": "stale-cache"}, host=host)
    with pytest.raises(SettingsError, match=r"write one of quota-plus-one, .*\n.*only on loopback"):
        switch_on({"TARGET_MUTANT": "stale"}, host=host)
    assert applied == []


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("nothing", f"write one of {', '.join(MUTANTS)}"),
        ("Stale-Cache", "write one of quota-plus-one, "),
        ("stale-cache:3", "stale-cache takes no number; write stale-cache"),
        ("commit-lost:", "after the colon, give a number from 1 to 1000000"),
        ("commit-lost:0", "after the colon, give a number from 1 to 1000000"),
        ("commit-lost:x", "after the colon, give a number from 1 to 1000000"),
    ],
)
def test_a_wrong_name_or_number_is_refused_with_the_valid_ones(applied, text, remedy):
    with pytest.raises(SettingsError) as refusal:
        switch_on({"TARGET_MUTANT": text})
    assert str(refusal.value).startswith(f"TARGET_MUTANT: got {text!r}; {remedy}")
    assert applied == []


@pytest.mark.parametrize("arguments", [["--host", "0.0.0.0", "--port", "0"], ["backup", "--to", "/nowhere"]])
def test_the_program_exits_with_2_for_an_unknown_mutant(monkeypatch, capsys, arguments):
    """Commands too; nothing has been started."""
    monkeypatch.setenv("TARGET_MUTANT", "stale-cash")
    monkeypatch.setattr(program.sys, "argv", ["payments_api", *arguments])
    monkeypatch.setattr(program, "_serve", lambda *_, **__: pytest.fail("it serves"))
    monkeypatch.setattr(program, "run_command", lambda *_: pytest.fail("it runs"))
    assert program.main() == 2
    assert capsys.readouterr().err.startswith("TARGET_MUTANT: got 'stale-cash'; write one of ")


@pytest.mark.long
@pytest.mark.process
def test_a_mutant_is_on_in_every_process_and_announced_once(tmp_path):
    """Neither the metrics page nor any answer mentions it."""
    settings = {"WORKERS": "2", "TARGET_MUTANT": "retry-after-constant", "LIMIT_HEALTH": "1/h"}
    with (tmp_path / "log").open("w") as log, running_target(stderr=log.fileno(), **settings) as target:
        answers = [requests.get(f"{target.url}/health", timeout=5) for _ in range(12)]
        page = requests.get(f"{target.url}/metrics", timeout=5)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.headers["retry-after"] for answer in refused} == {"3"}
    assert len(refused) >= 10
    assert (tmp_path / "log").read_text().count("retry-after-constant") == 1
    said = "".join(f"{answer.headers}{answer.text}" for answer in [page, *answers])
    assert "mutant" not in said.lower()
