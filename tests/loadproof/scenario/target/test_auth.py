"""The `auth` of target files: what is accepted, what is rejected, and which hosts may be asked for a token."""

from __future__ import annotations

import base64
import re

import pytest

from loadproof.api.api import Api
from loadproof.errors import InputError, UnsafeTargetError
from loadproof.scenario.target.auth import readable_secret, token_url_of
from loadproof.scenario.target.targetfile import load_target
from loadproof.scenario.target.variables import (
    check_hosts,
    masker_of,
    named_variables,
    permissions_of,
    secret_variables,
    variable_problems,
)
from tests.commands import ROOT

OAUTH2 = "token_url: https://login.example.test/token, client_id: load, client_secret: CLIENT_SECRET"
CANARY = "c4nary-p4ss"


def target(tmp_path, text: str, base_url: str = "http://127.0.0.1:9000"):
    file = tmp_path / "target.yaml"
    file.write_text(f"base_url: {base_url}\n{text}\n", encoding="utf-8")
    return load_target(file)


def refused(tmp_path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        target(tmp_path, text)
    return str(caught.value)


def test_basic_auth_is_sent_as_a_header_with_each_request(tmp_path, monkeypatch):
    """With user and password, in UTF-8."""
    monkeypatch.setenv("API_PASSWORD", "pässword: 1")
    found = target(tmp_path, "auth: {basic: {user: loader, password: API_PASSWORD}}")
    api = Api(found.endpoints, headers=found.headers, webhook_secret="", auth=found.auth)
    sent = api.call("GET", "/", headers={"X-Own": "1"}).request.headers
    assert sent == {"Authorization": f"Basic {base64.b64encode('loader:pässword: 1'.encode()).decode()}", "X-Own": "1"}
    own = api.call("GET", "/", headers={"authorization": "Bearer of-its-own"}).request.headers
    assert own == {"authorization": "Bearer of-its-own"}


def test_a_password_is_masked_in_every_text(tmp_path, monkeypatch):
    """Also in the form that was sent, with the user before it."""
    monkeypatch.setenv("API_PASSWORD", CANARY)
    found = target(tmp_path, "auth: {basic: {user: loader, password: API_PASSWORD}}")
    mask = masker_of(secret_variables(found))
    sent = base64.b64encode(f"loader:{CANARY}".encode()).decode()
    shown = mask(f"no: {CANARY}, Basic {sent}")
    assert shown.startswith("no: ${API_PASSWORD}, Basic ")
    assert base64.b64encode(CANARY.encode()).decode()[2:-4] not in shown
    assert sent not in shown


@pytest.mark.parametrize(
    ("auth", "told"),
    [
        ("{}", "target.yaml:2:7 auth: neither `basic` nor `oauth2`; write one of them"),
        (
            f"{{basic: {{user: a, password: P}}, oauth2: {{{OAUTH2}}}}}",
            "auth: both `basic` and `oauth2`; write one of them",
        ),
        ("{bearer: c4nary-p4ss}", "auth.bearer: unknown key; correct or remove it"),
        ("c4nary-p4ss", "auth: not a mapping; write keys and values there"),
        ("{basic: {user: a}}", "auth.basic.password: missing; add it"),
        ("{basic: {user: a, password: c4nary-p4ss}}", "auth.basic.password: a secret in a file; write the name of an"),
        ("{basic: {user: a, password: c4nary}}", "auth.basic.password: a secret in a file; write the name of an"),
        ("{basic: {user: a, password: '${API_PASSWORD}'}}", "auth.basic.password: a secret in a file; write the name"),
        ("{basic: {user: 'a:b', password: P}}", "auth.basic.user: a colon or a control character in a user name"),
        (f"{{oauth2: {{{OAUTH2.replace('CLIENT_SECRET', CANARY)}}}}}", "auth.oauth2.client_secret: a secret in a file"),
        (f"{{oauth2: {{{OAUTH2.replace('https', 'ftp')}}}}}", "auth.oauth2.token_url: not a token URL; write it like"),
        (f"{{oauth2: {{{OAUTH2.replace('//login', '//c4nary:p4ss@login')}}}}}", "token_url: not a token URL"),
        (f"{{oauth2: {{{OAUTH2}, parameters: {{scope: a}}}}}}", "parameters.scope: a parameter that loadproof itself"),
        (f"{{oauth2: {{{OAUTH2}, parameters: {{password: c4nary-p4ss}}}}}}", "parameters.password: a secret in a file"),
        (f"{{oauth2: {{{OAUTH2}, grant: password}}}}", "auth.oauth2.grant: unknown key; correct or remove it"),
        (f"{{oauth2: {{{OAUTH2}, secret_in: url}}}}", "auth.oauth2.secret_in: not accepted; it should be 'header' or"),
    ],
)
def test_each_mistake_is_reported_with_its_place_and_no_secret(tmp_path, auth, told):
    """Anything written there may be a secret."""
    text = refused(tmp_path, f"auth: {auth}")
    assert told in text
    assert "c4nary" not in text


def test_all_errors_are_reported_at_once(tmp_path):
    """Errors in `auth`, and what it contradicts."""
    text = refused(
        tmp_path,
        "headers: {authorization: 'Bearer ${API_TOKEN}'}\n"
        f"auth: {{oauth2: {{{OAUTH2}, parameters: {{client_id: x}}}}}}\nendpoints: {{health: {{path: '/{{id}}'}}}}",
    )
    assert "headers.authorization: a header that `auth` sends, too, got 'authorization'; keep one of them" in text
    assert "write it as `client_id`" in text
    assert len(text.splitlines()) == 3


@pytest.mark.parametrize("value", ["", "line\nbreak", "\udcff"])
def test_a_variable_that_is_not_set_or_cannot_be_sent_is_reported_by_name(tmp_path, monkeypatch, value):
    """Before anything is sent, whatever the mix."""
    monkeypatch.setenv("CLIENT_SECRET", value)
    (problem,) = map(str, variable_problems(target(tmp_path, f"auth: {{oauth2: {{{OAUTH2}}}}}"), set()))
    assert problem.startswith("target auth.oauth2.client_secret: ")
    assert "environment variable CLIENT_SECRET" in problem


def test_the_host_that_issues_tokens_must_be_allowed_too(tmp_path):
    """The host of a token URL receives a secret."""
    found = target(tmp_path, f"auth: {{oauth2: {{{OAUTH2}}}}}")
    assert permissions_of(found)["LOADPROOF_ALLOW_HOSTS"] == "127.0.0.1,login.example.test"
    with pytest.raises(UnsafeTargetError, match=r"target auth.oauth2.token_url: this host is not on the allow list"):
        check_hosts(found)
    check_hosts(found, ["login.example.test"])
    assert named_variables(found, set()) == [("auth.oauth2.client_secret", "CLIENT_SECRET")]


def test_a_path_is_below_the_base_url(tmp_path, monkeypatch):
    """Also if the base URL is replaced."""
    text = "auth: {oauth2: {token_url: /oauth/token, client_id: load, client_secret: CLIENT_SECRET}}"
    assert token_url_of(target(tmp_path, text, "http://127.0.0.1:9000/api/")) == "http://127.0.0.1:9000/api/oauth/token"
    monkeypatch.setenv("TARGET_URL", "https://api.example.test")
    assert token_url_of(target(tmp_path, text)) == "https://api.example.test/oauth/token"


@pytest.mark.parametrize(
    ("url", "is_told"),
    [("http://login.example.test/token", True), ("https://login.example.test/token", False), ("/token", False)],
)
def test_a_secret_sent_unencrypted_is_reported(tmp_path, url, is_told):
    """Except on loopback, where it doesn't travel."""
    text = f"auth: {{oauth2: {{{OAUTH2.replace('https://login.example.test/token', url)}}}}}"
    assert (readable_secret(target(tmp_path, text)) == url) == is_told


def test_the_documentations_target_files_are_accepted(tmp_path):
    """One for each way to authenticate."""
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8").partition("## Authentication")[2]
    blocks = re.findall(r"^```yaml\n(.*?)^```", page.partition("\n## ")[0], re.DOTALL | re.MULTILINE)
    found = [target(tmp_path, block) for block in blocks]
    assert [sorted(one.auth.model_dump(exclude_none=True)) if one.auth else [*one.headers] for one in found] == [
        ["Authorization", "X-Api-Key"],
        ["basic"],
        ["oauth2"],
    ]
