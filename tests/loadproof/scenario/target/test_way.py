"""TLS and proxies in a target file: what is accepted, and what is rejected with its place, its value and the remedy."""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from loadproof.errors import InputError, UnsafeTargetError
from loadproof.http.origin import Way
from loadproof.http.proxy import Proxy
from loadproof.http.tls import Trust
from loadproof.scenario.target.targetfile import TargetFile, load_target
from loadproof.scenario.target.variables import (
    check_hosts,
    masker_of,
    permissions_of,
    secret_variables,
    variable_problems,
)
from loadproof.scenario.target.way import way_of
from tests.commands import ROOT
from tests.loadproof.http.tls import new_certificate

BASE = "base_url: https://127.0.0.1:9000\n"
CREDENTIALS = "${PROXY_USER}:${PROXY_PASSWORD}"
NO_TLS = "base_url: http://127.0.0.1:9000\n"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """Certificates and keys of all kinds, by name."""
    directory = tmp_path_factory.mktemp("files")
    new_certificate(directory)
    (directory / "other").mkdir()
    new_certificate(directory / "other")
    key = directory / "pem"
    for options, name in (
        ("-aes256 -passout pass:secret", "encrypted"),
        ("-traditional -aes256 -passout pass:secret", "old-encrypted"),
        ("-outform DER", "der"),
    ):
        command = f"openssl pkey -in {key} -out {directory / name} {options}"
        subprocess.run(command.split(), check=True, capture_output=True)
    (directory / "both").write_bytes(key.read_bytes() + (directory / "pem.crt").read_bytes())
    (directory / "broken").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    return directory


@pytest.fixture
def files(prepared):
    """The same files in the target file's directory, with a short path, so that messages show it whole."""
    with tempfile.TemporaryDirectory() as short:
        shutil.copytree(prepared, short, dirs_exist_ok=True)
        yield Path(short)


def target(directory: Path, text: str) -> TargetFile:
    file = directory / "target.yaml"
    file.write_text(text)
    return load_target(file)


def refused(directory: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        target(directory, text)
    return str(caught.value)


def test_paths_are_relative_to_the_target_file(files):
    """And absolute from then on, because a run's processes work in another directory."""
    found = target(
        files,
        f"{BASE}tls: {{ca_file: pem.crt, client_certificate: pem.crt, client_key: {files}/pem, server_name: a.test}}\n",
    )
    crt = str(files / "pem.crt")
    assert way_of(found).trust == Trust(crt, True, crt, str(files / "pem"), "a.test")
    assert permissions_of(found)["LOADPROOF_ALLOW_FILES"] == f"{crt},{files}/pem"
    assert target(files, f"{BASE}tls: {{client_certificate: both}}\n").tls.identity == {
        "client_certificate": str(files / "both")
    }


@pytest.mark.parametrize(
    ("tls", "told"),
    [
        (
            "{ca_file: none.pem}",
            "tls.ca_file: can't be read: No such file or directory, got '{}/none.pem'; give the path",
        ),
        ("{ca_file: .}", "tls.ca_file: can't be read: Is a directory, got"),
        (
            "{ca_file: der}",
            "tls.ca_file: there is no certificate in PEM in it, got '{}/der'; give a file with -----BEGIN",
        ),
        ("{ca_file: pem}", "tls.ca_file: there is no certificate in PEM in it, got '{}/pem'"),
        ("{ca_file: broken}", "tls.ca_file: no certificates can be read from it: "),
        (
            "{ca_file: pem.crt, verify: false}",
            "tls.ca_file: no effect together with `verify: false`, got '{}/pem.crt'; re",
        ),
        ("{ca_file: ''}", "tls.ca_file: not accepted, got ''"),
        (
            '{ca_file: "a,b"}',
            "tls.ca_file: a path with a comma, which separates the paths that a process may use, got '{}/a,",
        ),
        ("{client_key: pem}", "tls.client_key: a key without its certificate; name its `client_certificate`, too"),
        (
            "{client_certificate: pem.crt}",
            "tls.client_certificate: there is no private key in PEM in it, got '{}/pem.crt'; ",
        ),
        ("{client_certificate: pem}", "tls.client_certificate: there is no certificate in PEM in it, got '{}/pem'"),
        ("{client_certificate: pem.crt, client_key: der}", "tls.client_key: there is no private key in PEM in it, got"),
        (
            "{client_certificate: pem.crt, client_key: no}",
            "tls.client_key: can't be read: No such file or directory, got",
        ),
        (
            "{client_certificate: pem.crt, client_key: other/pem}",
            "tls.client_key: this key doesn't match the certificate, got '{}/other/pem'; give the key that",
        ),
        (
            "{client_certificate: pem.crt, client_key: encrypted}",
            "tls.client_key: an encrypted key, and there is no way to enter its password, got '{}/encrypted'; de",
        ),
        (
            "{client_certificate: pem.crt, client_key: old-encrypted}",
            "tls.client_key: an encrypted key, and there is no way",
        ),
        ("{client_certificate: broken, client_key: pem}", "tls.client_key: certificate and key can't be read: "),
        (
            "{server_name: 'https://a'}",
            "tls.server_name: not a host name, got 'https://a'; write it like api.example.test",
        ),
        ("{server_name: 127.0.0.1}", "tls.server_name: not a host name, got '127.0.0.1'"),
        ("{server_name: ''}", "tls.server_name: not a host name, got ''"),
        ("{verify: 'no'}", "tls.verify: not accepted, got 'no'"),
        ("{insecure: true}", "tls.insecure: unknown key, got 'insecure'"),
        ("true", "tls: not a mapping"),
    ],
)
def test_tls_settings_that_make_no_sense_or_cannot_be_used_are_refused(files, tls, told):
    """With its place in the file, what was found and what to do."""
    text = refused(files, f"{BASE}tls: {tls}\n")
    assert told.replace("{}", str(files)) in text
    assert text.startswith(f"{files}/target.yaml:2:")
    assert len(text.splitlines()) == 1


def test_all_errors_in_tls_and_proxy_are_reported_at_once(files):
    """Errors in the files, in how the target is reached, and in the rest."""
    text = refused(
        files,
        f"{NO_TLS}tls: {{ca_file: none, client_key: der}}\nproxy: localhost:1\nheaders: {{Host: a/b}}\n",
    )
    assert len(text.splitlines()) == 7
    for told in (
        "tls: no effect: the base URL isn't https",
        "headers.Host: not a host; write it like api.example.test",
    ):
        assert told in text


@pytest.mark.parametrize(("override", "is_fine"), [("https://127.0.0.1:1", True), ("http://127.0.0.1:1", False)])
def test_tls_is_checked_against_the_base_url_that_is_used(files, monkeypatch, override, is_fine):
    """TARGET_URL replaces the file's."""
    monkeypatch.setenv("TARGET_URL", override)
    text = f"{NO_TLS if is_fine else BASE}tls: {{ca_file: pem.crt}}\n"
    if is_fine:
        assert target(files, text).base_url == override
    else:
        assert "tls: no effect: the base URL isn't https" in refused(files, text)


@pytest.mark.parametrize(
    ("proxy", "told"),
    [
        ("proxy.example.test", "proxy: not the URL of an HTTP proxy with its port, got 'proxy.example.test'; write it"),
        ("http://proxy.example.test", "not the URL of an HTTP proxy with its port, got 'http://proxy.example.test'"),
        ("https://proxy.example.test:443", "proxy: not the URL of an HTTP proxy with its port"),
        ("socks5://127.0.0.1:1080", "proxy: not the URL of an HTTP proxy with its port"),
        ("http://127.0.0.1:3128/path", "proxy: not the URL of an HTTP proxy with its port"),
        ("http://127.0.0.1:70000", "proxy: not a port, got '70000'; write one up to 65535"),
        ("http://ada:c4nary@127.0.0.1:3128", "proxy: credentials that are not environment variables; write it like"),
        ("http://${P}@127.0.0.1:3128", "proxy: credentials that are not environment variables; write it like"),
        ("http://ada:${P}@127.0.0.1:3128", "proxy: credentials that are not environment variables; write it like"),
        ("ada:c4nary@127.0.0.1:3128", "proxy: credentials that are not environment variables"),
        ("[c4nary@127.0.0.1]", "proxy: not accepted"),
    ],
)
def test_a_malformed_proxy_is_refused(tmp_path, proxy, told):
    """No message shows a password."""
    text = refused(tmp_path, f"{NO_TLS}proxy: {proxy}\n")
    assert told in text
    assert "c4nary" not in text
    assert text.startswith(f"{tmp_path}/target.yaml:2:")


@pytest.mark.parametrize(
    ("base", "header", "told"),
    [
        (NO_TLS, "host: a.test", "headers.host: no effect: a proxy sends the base URL's host instead"),
        (
            BASE,
            "Proxy-Authorization: '${X}'",
            "headers.Proxy-Authorization: a header that loadproof sends to the proxy",
        ),
    ],
)
def test_headers_that_a_proxy_overrides_are_refused(tmp_path, base, header, told):
    """Through a tunnel the target gets the Host header as it is."""
    assert told in refused(tmp_path, f"{base}headers: {{{header}}}\nproxy: http://127.0.0.1:1\n")
    assert target(tmp_path, f"{BASE}headers: {{host: a.test}}\nproxy: http://127.0.0.1:1\n").headers == {
        "host": "a.test"
    }


@pytest.mark.parametrize("host", ["a b", "https://a.test", "a.test/x", "", "a.test:x", "u@a.test"])
def test_a_malformed_host_header_is_refused(tmp_path, host):
    """The header names the host that the request is for."""
    assert "headers.Host: not a host;" in refused(tmp_path, f"{NO_TLS}headers: {{Host: '{host}'}}\n")


@pytest.mark.parametrize("host", ["a.test", "a.test:8443", "[::1]:80", "${NAME}"])
def test_a_host_header_may_be_any_host(tmp_path, host):
    """With its port, or from the environment."""
    assert target(tmp_path, f"{NO_TLS}headers: {{Host: '{host}'}}\n").headers == {"Host": host}


def test_credentials_of_a_proxy_come_from_the_environment(tmp_path, monkeypatch):
    """Sent in base64, and masked in every form."""
    monkeypatch.setenv("PROXY_USER", "ada")
    monkeypatch.setenv("PROXY_PASSWORD", "c4nary-é")
    sent = "ada:c4nary-é"
    found = target(tmp_path, f"{NO_TLS}proxy: http://{CREDENTIALS}@proxy.example.test:3128\n")
    assert list(variable_problems(found, set())) == []
    proxy = way_of(found).proxy
    encoded = base64.b64encode(sent.encode()).decode()
    assert proxy == Proxy("proxy.example.test", 3128, f"Basic {encoded}")
    mask = masker_of(secret_variables(found))
    assert "c4nary" not in mask(f"{sent} {sent.partition(':')[2]}") + repr(proxy)
    assert encoded[8:-8] not in mask(f"407 for Basic {encoded}")


def test_another_host_gets_the_proxy_but_none_of_the_targets_tls_settings(files):
    """No client certificate, no other server name, no `verify: false`."""
    found = target(files, f"{BASE}tls: {{verify: false, client_certificate: both}}\nproxy: http://127.0.0.1:3128\n")
    assert way_of(found, "https://127.0.0.1:9000/api") == way_of(found)
    assert way_of(found, "https://127.0.0.1:9001") == Way(proxy=Proxy("127.0.0.1", 3128))


@pytest.mark.parametrize(
    ("user", "password", "told"),
    [
        ("ada", "", "target proxy: the environment variable PROXY_PASSWORD is not set; set it"),
        ("ada", "a\nb", "target proxy: there is a control character in the environment variable PROXY_PASSWORD"),
        ("a:da", "a:b", "target proxy: there is a colon in the environment variable PROXY_USER"),
    ],
)
def test_credentials_that_cannot_be_sent_are_reported(tmp_path, monkeypatch, user, password, told):
    """By name, never by value."""
    monkeypatch.setenv("PROXY_USER", user)
    monkeypatch.setenv("PROXY_PASSWORD", password)
    found = target(tmp_path, f"{NO_TLS}proxy: http://{CREDENTIALS}@127.0.0.1:3128\n")
    (problem,) = map(str, variable_problems(found, set()))
    assert problem.startswith(told)


def test_the_allow_list_applies_to_a_proxy_as_to_the_target(tmp_path):
    """Both are checked, whichever of them is loopback."""
    for base, proxy, refused_host in (
        (
            "http://127.0.0.1:1",
            f"http://{CREDENTIALS}@proxy.example.test:3128",
            "target proxy: this host is not on the allow list",
        ),
        ("http://far.example.test:1", "http://127.0.0.1:3128", "target: this host is not on the allow list"),
    ):
        found = target(tmp_path, f"base_url: {base}\nproxy: {proxy}\n")
        with pytest.raises(UnsafeTargetError, match=refused_host):
            check_hosts(found)
        check_hosts(found, ["proxy.example.test", "far.example.test"])
    assert permissions_of(found)["LOADPROOF_ALLOW_HOSTS"] == "far.example.test,127.0.0.1"


def test_the_documentations_target_file_is_accepted(files):
    """With the files that it names."""
    text = (ROOT / "docs/configuration.md").read_text()
    example = text.partition("```yaml\n")[2].partition("```")[0]
    for name, source in (("ca.pem", "pem.crt"), ("client.pem", "pem.crt"), ("client-key.pem", "pem")):
        shutil.copy(files / source, files / name)
    found = target(files, example)
    assert way_of(found).trust.server_name == found.headers["Host"] == "api.example.test"
    assert list(found.tls.files) == ["ca_file", "client_certificate", "client_key"]
