"""Invalid and contradicting settings of the protection: all are reported at once, each with its remedy."""

from __future__ import annotations

import ipaddress

import pytest

from payments_api.app import secrets_of
from payments_api.protection.options import Options
from payments_api.settings import Settings, SettingsError, read_settings


def problems(**environment: str) -> dict[str, str]:
    try:
        read_settings(environment)
    except SettingsError as error:
        return dict(line.split(": ", 1) for line in str(error).splitlines())
    return {}


def test_the_defaults_are_valid():
    """Local limits, no penalties, no bot check, no lists: the settings of an embedded run."""
    settings: Settings = read_settings({})
    options = settings.protection
    assert (options.limiter, options.penalty, options.bots, options.has_files) == ("local", None, "off", False)
    assert options.limits["balance"] == "30/min"


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"LIMITER": "redis"}, ["LIMITER"]),
        ({"REDIS_URL": "redis://127.0.0.1/0"}, ["REDIS_URL"]),
        ({"REDIS_URL": "redis://127.0.0.1/0", "LIMITER": "off"}, ["REDIS_URL"]),
        ({"REDIS_URL": "http://127.0.0.1", "LIMITER": "redis"}, ["REDIS_URL"]),
        ({"LIMITER": "memcached"}, ["LIMITER"]),
        ({"CLIENT_HEADER": "Fly-Client-IP"}, ["CLIENT_HEADER"]),
        ({"CLIENT_HEADER": "Fly-Client-IP", "TRUSTED_NETWORKS": " , "}, ["CLIENT_HEADER"]),
        ({"TRUSTED_NETWORKS": "10.0.0.0/8"}, ["TRUSTED_NETWORKS"]),
        ({"CLIENT_HEADER": "X-Forwarded-For", "TRUSTED_NETWORKS": "10.0.0.0/8,0.0.0.0/0"}, ["TRUSTED_NETWORKS"]),
        ({"CLIENT_HEADER": "X-Forwarded-For", "TRUSTED_NETWORKS": "::/0"}, ["TRUSTED_NETWORKS"]),
        ({"CLIENT_HEADER": "Fly Client"}, ["CLIENT_HEADER"]),
        ({"METRICS": "private"}, ["METRICS"]),
        ({"METRICS": "hidden"}, ["METRICS"]),
        ({"PENALTY_BASE": "10", "LIMITER": "off"}, ["PENALTY_BASE"]),
        ({"PENALTY_BASE": "700"}, ["PENALTY_CAP"]),
        ({"PENALTY_CAP": "60"}, ["PENALTY_BASE"]),
        ({"PENALTY_BASE": "-1"}, ["PENALTY_BASE"]),
        ({"PENALTY_BASE": "1e3"}, ["PENALTY_BASE"]),
        ({"BOTS_FILE": __file__}, ["BOTS_FILE"]),
        ({"BOTS": "maybe"}, ["BOTS"]),
        ({"DENY_FILE": "/nowhere/deny.txt"}, ["DENY_FILE"]),
        ({"ALLOW_FILE": __file__}, ["ALLOW_FILE"]),
        ({"MOST_CLIENTS": "0"}, ["MOST_CLIENTS"]),
        ({"REDIS_TIMEOUT": "0", "REDIS_URL": "redis://h", "LIMITER": "redis"}, ["REDIS_TIMEOUT"]),
        (
            {
                "PORT": "x",
                "LIMITER": "redis",
                "BOTS": "maybe",
                "TRUSTED_NETWORKS": "10.0.0.0/8",
                "DENY_FILE": "/nowhere",
            },
            ["PORT", "LIMITER", "BOTS", "DENY_FILE", "TRUSTED_NETWORKS"],
        ),
    ],
)
def test_errors_are_reported_by_variable(environment, names):
    """Each contradiction once, along with any other errors."""
    assert list(problems(**environment)) == names


@pytest.mark.parametrize(
    "environment",
    [
        {"LIMITER": "redis", "REDIS_URL": "redis://:secret@127.0.0.1:6379/0"},
        {"LIMITER": "slowapi", "REDIS_URL": "rediss://h"},
        {
            "LIMITER": "redis",
            "REDIS_URL": "rediss://name:se%2Fcret@h:6380/3?ssl_cert_reqs=none&health_check_interval=3",
        },
        {"LIMITER": "redis", "REDIS_URL": "redis://h/0?socket_timeout=1"},
        {"PENALTY_BASE": "2.5", "PENALTY_CAP": "60", "PENALTY_FACTOR": "3"},
        {"CLIENT_HEADER": "Fly-Client-IP", "TRUSTED_NETWORKS": "10.0.0.0/8,fdaa::/16"},
        {"BOTS": "strict"},
    ],
)
def test_consistent_options_are_accepted(environment):
    """No remedy without an error."""
    assert problems(**environment) == {}


def test_a_url_with_a_password_is_not_shown():
    """Nor is its host."""
    assert "hush" not in str(problems(REDIS_URL="redis://:hush@h:6379/0"))


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret/x@h:6379/0",
        "redis://:s3cret?x@h",
        "redis://:s3cret#x@h",
        "redis://name:123/s3cret@h",
        "redis://h/0?s3cret=1",
        "redis://h/0?socket_timeout=s3cret",
        "redis://h/0?retry=s3cret",
        "rediss://h/0?ssl_cert_reqs=s3cret",
        "redis://h:99999/s3cret",
        "redis://[::1/s3cret",
    ],
)
@pytest.mark.parametrize("limiter", ["redis", "slowapi"])
def test_a_url_that_redis_py_cannot_use_is_refused_at_startup(limiter, url):
    """In one line that quotes none of it: the library's own errors quote half a password as the port."""
    found = problems(LIMITER=limiter, REDIS_URL=url)
    assert list(found) == ["REDIS_URL"]
    assert "percent-encode the password, and give only options that redis-py knows" in found["REDIS_URL"]
    assert "s3cret" not in str(found)


def test_the_redis_password_is_among_the_secrets_removed_from_messages():
    """As it is written, and as it is sent."""
    with_password = read_settings({"LIMITER": "redis", "REDIS_URL": "redis://:se%2Fcret@h/0?password=other"})
    assert {"se%2Fcret", "se/cret", "other"} <= set(secrets_of(with_password))
    assert all(secrets_of(read_settings({"LIMITER": "redis", "REDIS_URL": "redis://h/0"})))


def test_a_list_that_cannot_be_parsed_is_reported_with_its_line(tmp_path):
    """At startup there is no previous version."""
    (tmp_path / "deny.txt").write_text("10.0.0.0/8\n10.0.0/33\n")
    assert "line 2" in problems(DENY_FILE=str(tmp_path / "deny.txt"))["DENY_FILE"]


def test_an_allow_list_of_the_whole_world_is_refused_but_a_deny_list_is_not(tmp_path):
    """The first would silently switch off all limits; the second is noticed at once."""
    path = tmp_path / "list.txt"
    path.write_text("10.0.0.0/8\n0.0.0.0/0\n")
    found = problems(ALLOW_FILE=str(path))["ALLOW_FILE"]
    assert "line 2: got '0.0.0.0/0'; limits and bot rules would hold for nobody" in found
    assert problems(DENY_FILE=str(path)) == {}


def test_options_set_in_code_may_not_trust_networks_that_are_too_wide_either():
    with pytest.raises(ValueError, match=r"0\.0\.0\.0/0 could claim to be any client"):
        Options(client_header="x-forwarded-for", trusted_networks=(ipaddress.ip_network("0.0.0.0/0"),))
