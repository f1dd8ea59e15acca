"""Nothing is sent to a host that was not named."""

from __future__ import annotations

import pytest

from loadproof.errors import InputError, UnsafeTargetError
from loadproof.scenario.safety import (
    allowed_files,
    allowed_variables,
    check_base_url,
    check_host,
    is_loopback,
    permit,
)
from loadproof.scenario.target.targetfile import TargetFile, load_target
from loadproof.scenario.target.variables import permissions_of


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_always_allowed(host):
    """IPv4, IPv6 and the name."""
    assert is_loopback(host)
    check_host(f"http://{f'[{host}]' if ':' in host else host}:80", [])


@pytest.mark.parametrize(
    "host", ["example.org", "10.0.0.1", "localhost.example.org", "127.0.0.1.example.org", "0.0.0.0"]
)
def test_any_other_host_must_be_named(host, monkeypatch):
    """On the command line or in the environment, exactly."""
    with pytest.raises(UnsafeTargetError, match=f"--allow-host {host}"):
        check_host(f"http://{host}", ["other.example.org"])
    check_host(f"http://{host}", [host.upper()])
    monkeypatch.setenv("LOADPROOF_ALLOW_HOSTS", f"a.example, {host}")
    check_host(f"http://{host}", [])


def test_a_child_may_do_only_what_it_is_permitted(monkeypatch):
    """Only that, or in addition to what this process may do."""
    monkeypatch.setenv("LOADPROOF_ALLOW_HOSTS", "a.example, b.example")
    monkeypatch.setenv("LOADPROOF_ALLOW_VARIABLES", "A,B")
    monkeypatch.setenv("LOADPROOF_ALLOW_FILES", "/a,/b")
    assert allowed_variables() == {"A", "B"}
    assert allowed_files() == {"/a", "/b"}
    names = ("LOADPROOF_ALLOW_HOSTS", "LOADPROOF_ALLOW_VARIABLES", "LOADPROOF_ALLOW_FILES")
    assert permit(["c"], ["C"], ["/c"]) == dict(zip(names, ("c", "C", "/c"), strict=True))
    both = dict(zip(names, ("a.example,b.example,c", "A,B,C", "/a,/b,/c"), strict=True))
    assert permit(["c"], ["C"], ["/c"], besides=True) == both
    only = permissions_of(TargetFile(base_url="https://Target.example:8443/api"))
    assert only == dict(zip(names, ("target.example", "WEBHOOK_SECRET", ""), strict=True))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:80",
        "ftp://a",
        "http://",
        "http://a:99999",
        "http://a:x",
        "http://a b",
        "http://a/?q=1",
        "http://a/#f",
        "http://[::1",
        "http://a\n.b",
        "http://\u202ea",
    ],
)
def test_anything_but_a_base_url_is_refused(url):
    """The error has an example of one."""
    with pytest.raises(InputError, match="not a base URL"):
        check_base_url(url, "here")


@pytest.mark.parametrize("path", ["/../..//x", "/./x", "/a/..", "/a/%2E%2e/b", "//x", "/a//b"])
def test_a_path_that_leads_elsewhere_is_refused(path):
    """Browsers resolve it, but we would send it as written."""
    with pytest.raises(InputError, match=r"`\.\.` or empty segments.*write the path that they lead to"):
        check_base_url(f"http://127.0.0.1:80{path}", "here")


@pytest.mark.parametrize("path", ["", "/", "/a", "/a/", "/a.b/..c/v1.0"])
def test_dots_within_a_segment_are_part_of_its_name(path):
    """A trailing slash is not an empty segment."""
    check_base_url(f"http://127.0.0.1:80{path}", "here")


def test_a_password_in_a_url_is_refused_and_not_repeated():
    """It would end up in logs."""
    with pytest.raises(InputError) as caught:
        check_base_url("http://me:hush@127.0.0.1", "here")
    assert "hush" not in str(caught.value)


def test_the_target_comes_from_file_and_environment(tmp_path, monkeypatch):
    """TARGET_URL alone replaces the base URL; without either it is the embedded one."""
    assert load_target(None) is None
    file = tmp_path / "target.yaml"
    file.write_text("base_url: http://127.0.0.1:9000/api/\nlimits: {health: 6/min}\n")
    assert load_target(file).base_url == "http://127.0.0.1:9000/api"
    monkeypatch.setenv("TARGET_URL", "http://127.0.0.1:9001")
    found = load_target(file)
    assert (found.base_url, found.limits) == ("http://127.0.0.1:9001", {"health": "6/min"})
    assert load_target(None).base_url == "http://127.0.0.1:9001"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base_url: 5", "target.yaml:1:11 base_url: not accepted"),
        ("base_url: nowhere", "target.yaml:1:11 base_url: not a base URL"),
        ("base_url: http://127.0.0.1\nlimits: {health: lots}", "limits.health"),
        ("url: http://127.0.0.1", "base_url: missing"),
    ],
)
def test_errors_in_a_target_file_are_reported_with_their_place(tmp_path, text, message):
    """As with scenarios."""
    file = tmp_path / "target.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_target(file)
    assert message in str(caught.value)
