"""Target files: what is accepted, and that all errors are reported at once."""

from __future__ import annotations

import json

import pytest

from loadproof.api.api import Api
from loadproof.api.signing import SIGNATURES
from loadproof.errors import InputError
from loadproof.http.origin import Origin
from loadproof.http.packets import make_packet
from loadproof.scenario.target.targetfile import SIGNATURE_HEADERS, load_target
from loadproof.scenario.target.variables import masker_of, secret_variables, variable_problems


def target(tmp_path, text: str):
    file = tmp_path / "target.yaml"
    file.write_text(text, encoding="utf-8")
    return load_target(file)


def refused(tmp_path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        target(tmp_path, text)
    return str(caught.value)


def test_a_base_url_is_enough(tmp_path):
    """Everything else is as in the reference API."""
    found = target(tmp_path, "base_url: http://127.0.0.1:9000/\n")
    assert found.base_url == "http://127.0.0.1:9000"
    assert found.endpoints.transactions.statuses == {201}
    assert found.account_ids is None


def test_all_errors_are_reported_at_once(tmp_path):
    """Placeholders, field names and secrets, of each endpoint."""
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
    assert "endpoints.balance.path: wrong placeholders for this path, got '/funds'; write {account} in it" in text
    assert "did you mean 'balance'?" in text
    assert "write {id} in it" in text
    assert "write no {…} in it" in text
    assert len(text.splitlines()) == 5


def test_operations_for_audits_exist_if_they_are_declared(tmp_path):
    """A list of payments is by account or by key, not both."""
    assert target(tmp_path, "base_url: http://127.0.0.1:9000\n").endpoints.payments is None
    text = """\
base_url: http://127.0.0.1:9000
endpoints:
  payments: {path: "/of/%s"}
"""
    for one in ("{account}", "{key}"):
        assert target(tmp_path, text % one).endpoints.payments.path == f"/of/{one}"
    for wrong in ("all", "{account}/{key}", "{event}"):
        assert "write {account} or {key} in it" in refused(tmp_path, text % wrong)


def test_accounts_that_others_use_are_not_exclusive(tmp_path):
    """One of the two settings is wrong."""
    text = """\
base_url: http://127.0.0.1:9000
exclusive_accounts: true
endpoints:
  balance: {may_change: %s}
"""
    assert target(tmp_path, text % "false").exclusive_accounts
    assert "exclusive_accounts: contradicts `endpoints.balance.may_change: true`" in refused(tmp_path, text % "true")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("endpoints: {refunds: {path: /r}}", "unknown key, got refunds"),
        ("endpoints: {health: {path: health}}", "endpoints.health.path"),
        ("endpoints: {health: {path: '/health#top'}}", "endpoints.health.path"),
        ("endpoints: {health: {expect: 99}}", "endpoints.health.expect"),
        ("endpoints: {webhooks: {signature: paypal}}", "endpoints.webhooks.signature"),
        ("limits: {health: 60}", "limits.health"),
        ("limits: {health: {amount: 6}}", "limits.health.period"),
        ("limits: {health: {amount: 6, period: 60}}", "limits.health.period"),
        ("limits: {health: {amount: 6, period: 60 s, algorithm: leaky}}", "limits.health.algorithm"),
        ("limits: {health: {amount: 6, period: 60 s, burst: 9}}", "limits.health"),
        ("limits: {health: {amount: 6, period: 60 s, processes: 2}}", "limits.health"),
        ("accounts: [a, b]", "accounts"),
        ("headers: {'X Y': z}", "headers"),
    ],
)
def test_each_field_is_checked(tmp_path, line, told):
    """With its place in the file."""
    text = refused(tmp_path, f"base_url: http://127.0.0.1:9000\n{line}\n")
    assert told.partition(",")[0].split(":")[0] in text
    assert "target.yaml:2" in text


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        (
            "{constants: {amount: 5}}",
            "transactions.constants.amount: two fields at the same place in the body, got 'amount'",
        ),
        ("{constants: {amount: 5}, body: {amount: amount.value}}", "the same place in the body, got 'amount.value'"),
        (
            "{constants: {amount: {value: 5}}, body: {amount: amount.value}}",
            "the same place in the body, got 'amount.value'",
        ),
        (
            "{constants: {amount.exact: 1}}",
            "constants.amount.exact: two fields at the same place in the body, got 'amount'",
        ),
        ("{body: {debit: from, credit: from}}", "the same place in the body, got 'from'"),
    ],
)
def test_fields_that_would_collide_in_the_body_are_reported(tmp_path, operation, told):
    """Only one of them would be sent, or the first request would fail."""
    assert told in refused(tmp_path, f"base_url: http://127.0.0.1:9000\nendpoints: {{transactions: {operation}}}\n")


def test_constants_may_be_next_to_fields_or_around_them(tmp_path):
    """In one object."""
    operation = "{constants: {amount: {exact: true}, kind: x, to.bank: y}, body: {amount: amount.value, credit: to.id}}"
    assert target(tmp_path, f"base_url: http://127.0.0.1:9000\nendpoints: {{transactions: {operation}}}\n")


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ("{Host: a, host: b}", "headers.host: duplicate header: names are case-insensitive"),
        ("{X-A: a, x-b: b, x-a: a}", "headers.x-a: duplicate header"),
        ("{content-length: '5'}", "headers.content-length: a header that follows from the body"),
        ("{TRANSFER-ENCODING: chunked}", "headers.TRANSFER-ENCODING: a header that follows from the body"),
        ("{idempotency-key: x}", "headers.idempotency-key: a header that loadproof itself sends with payments"),
        ("{accept-Encoding: 'gzip, zstd'}", "headers.accept-Encoding: allows a content coding that loadproof"),
        ("{Webhook-Timestamp: x}", "headers.Webhook-Timestamp: a header that loadproof itself sends with webhooks"),
    ],
)
def test_header_names_are_compared_as_http_does(tmp_path, headers, told):
    """Otherwise one would replace the other, both would be sent, or the answer would be unreadable."""
    assert told in refused(tmp_path, f"base_url: http://127.0.0.1:9000\nheaders: {headers}\n")


def test_one_host_and_one_content_type_are_sent_as_in_the_file(tmp_path):
    """Also if written in lower case."""
    found = target(
        tmp_path,
        "base_url: http://127.0.0.1:9000\nheaders: {host: pay.example.test, content-type: application/vnd.pay+json}\n",
    )
    api = Api(found.endpoints, headers=found.headers, webhook_secret="whsec_AAAA")
    for call in (
        api.pay(debit="a", credit="b", amount=1, key="k"),
        api.deliver("evt_00000001", {}),
        api.call("POST", "/", body=[1]),
    ):
        lines = make_packet(Origin.of(found.base_url), {}, call.request).content.split(b"\r\n")
        assert [line for line in lines if line.lower().startswith(b"host:")] == [b"host: pay.example.test"]
        types = [line for line in lines if line.lower().startswith(b"content-type:")]
        assert types == [b"content-type: application/vnd.pay+json"]


def test_signature_headers_are_exactly_those_that_a_file_may_not_set():
    """For each signature scheme."""
    for kind, sign in SIGNATURES.items():
        assert tuple(sign("evt_1", b"{}", "whsec_AAAA")) == SIGNATURE_HEADERS[kind]


CANARY = "c4nary"


@pytest.mark.parametrize(
    "line",
    [
        f"headers: {{Authorization: 'Bearer {CANARY} ü ${{X}}'}}",
        f"headers: {{X-Team: '{CANARY}\u20ac'}}",
        f"headers: {{'Authorization: Bearer {CANARY}': x}}",
        f"headers: {{'Authorization: Bearer {CANARY}'}}",
        f"headers: ['Authorization: Bearer {CANARY}']",
        f"headers: 'Bearer {CANARY}'",
        f"headers: {{Authorization: ['{CANARY}']}}",
        f"headers: {{X-Team: *{CANARY}}}",
        f"headers: {{X-Team: &{CANARY} x}}",
        f"headers: {{X-Team: !{CANARY} x}}",
        f"headers: {{Authorization: {CANARY}}}",
        f"endpoints: {{webhooks: {{secret: whsec_{CANARY}}}}}",
        f"endpoints: {{webhooks: {{secret: whsec_{CANARY}==}}}}",
        f"endpoints: {{webhooks: {{secret: '{CANARY} x'}}}}",
    ],
)
def test_no_message_shows_the_value_of_a_header_or_a_key(tmp_path, line):
    """Whatever is wrong with them."""
    text = refused(tmp_path, f"base_url: http://127.0.0.1:9000\n{line}\n")
    assert CANARY not in text
    assert "target.yaml:2" in text


@pytest.mark.parametrize("url", [f"http://127.0.0.1?token={CANARY}", f"http://u:{CANARY}@127.0.0.1"])
def test_no_message_shows_secrets_in_a_url(tmp_path, url):
    """A token in a query, a password."""
    assert CANARY not in refused(tmp_path, f"base_url: '{url}'\n")


def test_accounts_can_come_from_a_csv_file_next_to_the_target_file(tmp_path):
    """From the column `account`, each once; blanks and a byte order mark are ignored."""
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
def test_an_invalid_csv_file_is_reported_with_its_path(tmp_path, content, told):
    """Before anything is sent."""
    if content is not None:
        (tmp_path / "accounts.csv").write_bytes(content)
    text = refused(tmp_path, "base_url: http://127.0.0.1:9000\naccounts: accounts.csv\n")
    assert "accounts.csv: " in text
    assert told in text


def test_the_secret_of_master_and_workers_is_never_sent_to_the_target(tmp_path, monkeypatch):
    """Anyone who knows it can write a run's results."""
    monkeypatch.setenv("LOADPROOF_SECRET", "5" * 64)
    file = tmp_path / "target.yaml"
    file.write_text("base_url: http://127.0.0.1\nheaders: {X-Key: '${LOADPROOF_SECRET}'}\n")
    (problem,) = variable_problems(load_target(file), set())
    assert str(problem).startswith(
        "target headers.X-Key: the secret of master and workers must not be sent to the target"
    )


def test_variables_that_are_not_set_are_reported(tmp_path, monkeypatch):
    """Those of headers, and those of webhooks if the scenario sends any."""
    monkeypatch.delenv("API_TOKEN", raising=False)
    monkeypatch.delenv("HOOK_KEY", raising=False)
    found = target(
        tmp_path,
        "base_url: http://127.0.0.1:9000\nheaders: {Authorization: 'Bearer ${API_TOKEN}'}\n"
        "endpoints: {webhooks: {secret: HOOK_KEY}}\n",
    )
    told = [str(problem) for problem in variable_problems(found, {"webhooks"})]
    assert [line.partition(";")[0].rpartition(" variable ")[2] for line in told] == [
        "API_TOKEN is not set",
        "HOOK_KEY is not set",
    ]
    assert len(list(variable_problems(found, {"health"}))) == 1
    monkeypatch.setenv("API_TOKEN", "x")
    assert not list(variable_problems(found, {"health"}))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (f"{CANARY}\n", "there is a line break in the environment variable API_TOKEN"),
        (f"{CANARY}\r\nX-Admin: 1", "there is a line break in the environment variable API_TOKEN"),
        (f"{CANARY}\x1b", "there is a control character in the environment variable API_TOKEN"),
        (f"{CANARY}\u20ac", "there is a character that is not in Latin-1 in the environment variable API_TOKEN"),
        (f"{CANARY}\udcff", "there is a character that is not in Latin-1 in the environment variable API_TOKEN"),
    ],
)
def test_values_that_no_header_can_hold_are_reported_by_variable_name(tmp_path, monkeypatch, value, told):
    """In headers, and in a key that is sent as one."""
    monkeypatch.setenv("API_TOKEN", value)
    found = target(
        tmp_path,
        "base_url: http://127.0.0.1:9000\nheaders: {X-Api: '${API_TOKEN}'}\n"
        "endpoints: {webhooks: {signature: telegram, secret: API_TOKEN}}\n",
    )
    problems = [str(problem) for problem in variable_problems(found, {"webhooks"})]
    assert problems == [
        f"target headers.X-Api: {told}; set it without",
        f"target endpoints.webhooks.secret: {told}; set it without",
    ]


@pytest.mark.parametrize(
    ("signature", "value"),
    [
        ("standard", f"whsec_{CANARY}!"),
        ("standard", "whsec_"),
        ("standard", f"{CANARY}ü"),
        ("stripe", f"{CANARY}\udcff"),
    ],
)
def test_keys_that_cannot_sign_are_reported_before_the_run(tmp_path, monkeypatch, signature, value):
    """By the variable's name; also if the file doesn't mention it."""
    monkeypatch.setenv("WEBHOOK_SECRET", value)
    words = "" if signature == "standard" else f"endpoints: {{webhooks: {{signature: {signature}}}}}\n"
    found = target(tmp_path, f"base_url: http://127.0.0.1:9000\n{words}")
    (problem,) = map(str, variable_problems(found, {"webhooks"}))
    assert "in the environment variable WEBHOOK_SECRET; set it without" in problem
    assert CANARY not in problem


def test_secrets_that_a_target_echoes_are_masked(tmp_path, monkeypatch):
    """In the form that was sent, and as JSON writes it."""
    monkeypatch.setenv("API_TOKEN", f'{CANARY}"ü\\')
    monkeypatch.setenv("HOOK_KEY", "s3cret-key")
    found = target(
        tmp_path,
        "base_url: http://127.0.0.1:9000\nheaders: {Authorization: 'Bearer ${API_TOKEN}'}\n"
        "endpoints: {webhooks: {secret: HOOK_KEY}}\n",
    )
    told = {"seen": f'Bearer {CANARY}"ü\\', "key": "s3cret-key"}
    for text in (json.dumps(told), json.dumps(told, ensure_ascii=False), str(told["seen"])):
        shown = masker_of(secret_variables(found))(text)
        assert CANARY not in shown
        assert "s3cret" not in shown
        assert "Bearer ${API_TOKEN}" in shown


def test_commands_are_lists_or_mappings_and_run_in_their_files_directory(tmp_path):
    """A list is a command with no other settings."""
    found = target(
        tmp_path,
        """\
base_url: http://127.0.0.1:9000
commands:
  backup: [./backup.sh, "{backup}"]
  restore: {run: [./restore.sh, "{backup}", "${PLACE}"], environment: [KEY], directory: bin, timeout: 5 min}
""",
    )
    assert found.commands["backup"].directory == str(tmp_path)
    assert found.commands["backup"].arguments({"backup": "/b"}) == ["./backup.sh", "/b"]
    restore = found.commands["restore"]
    assert (restore.directory, restore.timeout) == (str(tmp_path / "bin"), 300.0)
    assert restore.variables == ["KEY", "PLACE"]


def test_commands_that_nobody_could_fill_in_are_refused(tmp_path):
    """Placeholders of another command, a server without its port, a line for a shell."""
    text = refused(
        tmp_path,
        """\
base_url: http://127.0.0.1:9000
commands:
  backup: [./backup.sh, "{restored}"]
  serve: [./serve.sh]
  cut: [./cut.sh, "{backup}"]
""",
    )
    assert "commands.backup: not a placeholder of this command, got '{restored}'; use {backup}" in text
    assert "commands.serve: it isn't told its port" in text
    assert "commands.cut: not a placeholder of this command, got '{backup}'; leave it out" in text
    text = refused(tmp_path, "base_url: http://127.0.0.1:9000\ncommands: {backup: ./backup.sh | gzip, cut: []}\n")
    assert "commands.backup" in text
    assert "commands.cut" in text
