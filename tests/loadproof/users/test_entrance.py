"""Which hosts Locust may be told to load, and by whom: checked with a web app and an environment like Locust's."""

from __future__ import annotations

from types import SimpleNamespace

import flask
import pytest

from tests import unpatched  # noqa: F401 - before locust

from loadproof.users.entrance import guard  # isort: skip

OWN = "127.0.0.1:8089"
LOOPBACK = "http://127.0.0.1:8000"


def environment(host: str | None = LOOPBACK, *users: str | None, web_ui: object = None):
    return SimpleNamespace(host=host, user_classes=[SimpleNamespace(host=user) for user in users], web_ui=web_ui)


def client(web_host: str = "127.0.0.1") -> flask.testing.FlaskClient:
    """A client of a web UI on that host, behind the guard."""
    app = flask.Flask("web")
    app.add_url_rule("/swarm", view_func=lambda: "swarming", methods=["GET", "HEAD", "POST", "PUT"])
    guard(environment(web_ui=SimpleNamespace(app=app, host=web_host)))
    return app.test_client()


@pytest.mark.parametrize(
    ("host", "users"),
    [(None, ()), ("", ("",)), (LOOPBACK, (None, "http://localhost:1")), ("http://[::1]:80", ()), (None, (LOOPBACK,))],
)
def test_loopback_or_no_host_needs_no_permission(host, users):
    """In Locust's option, and in each user class."""
    assert guard(environment(host, *users)) is None


def test_the_host_option_overrides_the_hosts_of_user_classes():
    """Nothing is sent to the latter, unless a web UI's form can clear the option."""
    assert guard(environment(LOOPBACK, "http://192.0.2.1")) is None
    with pytest.raises(SystemExit):
        guard(environment(LOOPBACK, "http://192.0.2.1", web_ui=SimpleNamespace(app=None, host="")))


@pytest.mark.parametrize(
    ("host", "users", "told"),
    [
        ("http://192.0.2.1", (), "this host is not on the allow list, got '192.0.2.1'"),
        (None, (None, "http://192.0.2.1"), "this host is not on the allow list, got '192.0.2.1'"),
        ("ftp://127.0.0.1", (), "--host: not a base URL, got 'ftp://127.0.0.1'"),
    ],
)
def test_a_host_that_is_not_allowed_ends_the_process_before_it_has_users(monkeypatch, capsys, host, users, told):
    """The reason is one line."""
    monkeypatch.delenv("LOADPROOF_ALLOW_HOSTS", raising=False)
    with pytest.raises(SystemExit) as ended:
        guard(environment(host, *users))
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_web_ui_without_pages_needs_no_guard():
    """As in some of Locust's own tests."""
    assert guard(environment(web_ui=SimpleNamespace(app=None, host=""))) is None


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": f"http://{OWN}"}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}],
    ids=str,
)
def test_requests_from_the_own_page_are_accepted(method, headers):
    """And those that come from no page."""
    assert client().open("/swarm", method=method, headers={"Host": OWN} | headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "headers", "told"),
    [
        (
            "GET",
            {"Host": "evil.example:8089"},
            "Host: not an address of this web UI, got 'evil.example:8089'; open it by its loopback address",
        ),
        ("GET", {"Host": ""}, "Host: not an address of this web UI, got ''; open it by its loopback address"),
        (
            "GET",
            {"Origin": "http://evil.example"},
            "Origin: a page of another origin, got 'http://evil.example'; use the web UI's own page",
        ),
        ("GET", {"Origin": "null"}, "Origin: a page of another origin, got 'null'; use the web UI's own page"),
        (
            "POST",
            {"Sec-Fetch-Site": "cross-site"},
            "Sec-Fetch-Site: a page of another origin, got 'cross-site'; use the web UI's own page",
        ),
        (
            "PUT",
            {"Sec-Fetch-Site": "same-site"},
            "Sec-Fetch-Site: a page of another origin, got 'same-site'; use the web UI's own page",
        ),
    ],
)
def test_requests_from_other_pages_are_refused_with_the_reason(method, headers, told):
    """As plain text."""
    answer = client().open("/swarm", method=method, headers={"Host": OWN} | headers)
    assert (answer.status_code, answer.text) == (403, f"{told}\n")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_link_on_another_page_may_be_followed(method):
    """That starts nothing."""
    headers = {"Host": OWN, "Sec-Fetch-Site": "cross-site"}
    assert client().open("/swarm", method=method, headers=headers).status_code == 200


@pytest.mark.parametrize(("web_host", "status"), [("127.0.0.1", 403), ("0.0.0.0", 200), ("", 200)])
def test_a_host_name_is_only_refused_if_the_web_ui_is_on_loopback(web_host, status):
    """Elsewhere its owner may have given it any name."""
    assert client(web_host).get("/swarm", headers={"Host": "load.example"}).status_code == status


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("http://192.0.2.1", "this host is not on the allow list"),
        ("http://<192.0.2.1>", "this host is not on the allow list"),
        ("ftp://127.0.0.1", "host: not a base URL"),
    ],
)
def test_the_forms_host_is_checked_too(monkeypatch, host, message):
    """As with Locust's own refusals, the page shows the message, and the previous host."""
    monkeypatch.delenv("LOADPROOF_ALLOW_HOSTS", raising=False)
    told = client().post("/swarm", data={"host": host}, headers={"Host": OWN}).json
    assert (told["success"], told["host"]) == (False, LOOPBACK)
    assert message in told["message"]


@pytest.mark.parametrize(
    "form", [{"host": "http://127.0.0.1:1"}, {"host": "<http://127.0.0.1:1>"}, {"user_count": "1"}]
)
def test_a_form_with_an_allowed_host_passes(form):
    """Or without any host."""
    assert client().post("/swarm", data=form, headers={"Host": OWN}).text == "swarming"


def test_only_posted_forms_are_checked():
    """Locust reads no others."""
    answer = client().put("/swarm", data={"host": "http://192.0.2.1"}, headers={"Host": OWN})
    assert answer.text == "swarming"
