"""Target files: what is accepted, and that all that is wrong is told at once."""

from __future__ import annotations

import pytest

from loadproof.errors import InputError
from loadproof.scenario.targetfile import load_target, missing_variables


def target(tmp_path, text: str):
    file = tmp_path / "target.yaml"
    file.write_text(text, encoding="utf-8")
    return load_target(file)


def refused(tmp_path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        target(tmp_path, text)
    return str(caught.value)


def test_a_base_url_is_enough(tmp_path):
    """All else is as in the reference API."""
    found = target(tmp_path, "base_url: http://127.0.0.1:9000/\n")
    assert found.base_url == "http://127.0.0.1:9000"
    assert found.endpoints.transactions.statuses == {201}
    assert found.account_ids is None


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    """Placeholders, words, secrets, statuses, unknown keys of each endpoint."""
    text = refused(
        tmp_path,
        """\
base_url: http://127.0.0.1:9000
headers: {Authorization: Bearer abc, X-Team: payments}
endpoints:
  balance: {path: /funds, answer: {ballance: x}}
  transaction: {path: "/p/{account}"}
  health: {path: "/health/{id}"}
""",
    )
    assert "headers.Authorization: a secret in a file; write ${NAME}" in text
    assert "abc" not in text
    assert "endpoints.balance.path: not the placeholders of this path, got '/funds'; write {account} in it" in text
    assert "did you mean 'balance'?" in text
    assert "write {id} in it" in text
    assert "write no {…} in it" in text
    assert len(text.splitlines()) == 5


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("endpoints: {refunds: {path: /r}}", "unknown key, got refunds"),
        ("endpoints: {health: {path: health}}", "endpoints.health.path"),
        ("endpoints: {health: {expect: 99}}", "endpoints.health.expect"),
        ("endpoints: {webhooks: {signature: paypal}}", "endpoints.webhooks.signature"),
        ("limits: {health: 60}", "limits.health"),
        ("accounts: [a, b]", "accounts"),
        ("headers: {'X Y': z}", "headers"),
    ],
)
def test_each_field_is_checked(tmp_path, line, told):
    """With its place in the file."""
    text = refused(tmp_path, f"base_url: http://127.0.0.1:9000\n{line}\n")
    assert told.partition(",")[0].split(":")[0] in text
    assert "target.yaml:2" in text


def test_accounts_come_from_a_csv_beside_the_file(tmp_path):
    """The column `account`, each once, blanks left out, a byte order mark ignored."""
    (tmp_path / "accounts.csv").write_text("\ufeffname,account\nx,a1\ny,a2\nz,\nu,a2\nv,a3\n", encoding="utf-8")
    assert target(tmp_path, "base_url: http://127.0.0.1:9000\naccounts: accounts.csv\n").account_ids == [
        "a1",
        "a2",
        "a3",
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "can't be read"),
        (b"", "no column `account`, got 'an empty file'"),
        (b"id\n1\n2\n3\n", "no column `account`, got 'id'"),
        (b"account\n1\n2\n", "too few accounts, got '2'"),
        (b"account\n\xff\n", "can't be read"),
    ],
)
def test_a_wrong_csv_is_told_with_its_path(tmp_path, content, told):
    """Before anything is sent."""
    if content is not None:
        (tmp_path / "accounts.csv").write_bytes(content)
    text = refused(tmp_path, "base_url: http://127.0.0.1:9000\naccounts: accounts.csv\n")
    assert "accounts.csv: " in text
    assert told in text


def test_the_secret_of_master_and_workers_is_not_for_the_target(tmp_path, monkeypatch):
    """Whoever knows it can write a run's results."""
    monkeypatch.setenv("LOADPROOF_SECRET", "5" * 64)
    file = tmp_path / "target.yaml"
    file.write_text("base_url: http://127.0.0.1\nheaders: {X-Key: '${LOADPROOF_SECRET}'}\n")
    (problem,) = missing_variables(load_target(file), set())
    assert str(problem).startswith("target headers.X-Key: the secret of master and workers is not for the target")


def test_variables_that_are_not_set_are_told(tmp_path, monkeypatch):
    """Of headers, and of webhooks where the scenario sends any."""
    monkeypatch.delenv("API_TOKEN", raising=False)
    monkeypatch.delenv("HOOK_KEY", raising=False)
    found = target(
        tmp_path,
        "base_url: http://127.0.0.1:9000\nheaders: {Authorization: 'Bearer ${API_TOKEN}'}\n"
        "endpoints: {webhooks: {secret: HOOK_KEY}}\n",
    )
    told = [str(problem) for problem in missing_variables(found, {"webhooks"})]
    assert [line.partition(";")[0].rpartition(" variable ")[2] for line in told] == [
        "API_TOKEN is not set",
        "HOOK_KEY is not set",
    ]
    assert len(list(missing_variables(found, {"health"}))) == 1
    monkeypatch.setenv("API_TOKEN", "x")
    assert not list(missing_variables(found, {"health"}))
