"""What people write in locustfiles, in many styles; each is run with Locust's HttpUser and with loadproof's.

A function takes a user class and returns one with tasks; or it takes a client, and its result is compared, too.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final

import requests
from locust import SequentialTaskSet, TaskSet, constant, task
from locust.exception import RescheduleTask, StopUser
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth, HTTPDigestAuth
from requests.cookies import RequestsCookieJar

CLIENT_STYLES: Final[dict[str, Callable[..., Any]]] = {}
USER_STYLES: Final[dict[str, Callable[..., Any]]] = {}


def client_style(style: Callable[..., Any]) -> Callable[..., Any]:
    CLIENT_STYLES[style.__name__] = style
    return style


def user_style(style: Callable[..., Any]) -> Callable[..., Any]:
    USER_STYLES[style.__name__] = style
    return style


def all_of(response: requests.Response) -> tuple[object, ...]:
    """Everything about a response that a locustfile may read."""
    asked = response.request
    return (
        *(response.status_code, response.ok, response.reason, response.text, response.content, response.encoding),
        *(dict(response.headers), response.cookies.get_dict(), response.url, response.links, response.is_redirect),
        *([each.url for each in response.history], asked.method, asked.url, dict(asked.headers), asked.body),
    )


# A single request, and its whole answer.
for _path in (
    "/",
    "/json",
    "/latin",
    "/bytes",
    "/gzip",
    "/chunked",
    "/nothing",
    "/headers",
    "/created",
    "/odd",
    "/304",
):
    CLIENT_STYLES[f"get {_path}"] = lambda client, path=_path: all_of(client.get(path))
for _path in ("/unauthorized", "/missing", "/teapot", "/error", "/login", "/closing", "/302", "/twice", "/307"):
    CLIENT_STYLES[f"get {_path}"] = lambda client, path=_path: all_of(client.get(path))
for _path in ("/301", "/302", "/303", "/307", "/missing", "/echo"):
    CLIENT_STYLES[f"post to {_path}"] = lambda client, path=_path: all_of(client.post(path, json={"a": 1}))
for _path in ("/302", "/303", "/302/elsewhere", "/twice"):
    CLIENT_STYLES[f"follow {_path}"] = lambda client, path=_path: all_of(
        client.get(path, headers={"Authorization": "Bearer t"}, cookies={"a": "b"}, params={"n": 1})
    )
for _method in ("get", "post", "put", "patch", "delete", "head", "options"):
    CLIENT_STYLES[f"bare {_method}"] = lambda client, method=_method: all_of(getattr(client, method)("/echo"))
    CLIENT_STYLES[f"{_method} with data"] = lambda client, method=_method: all_of(
        getattr(client, method)("/echo", data={"a": "b c", "d": ["1", "2"]})
    )
    CLIENT_STYLES[f"{_method} redirected"] = lambda client, method=_method: all_of(getattr(client, method)("/302"))
for _url in (
    "/a b",
    "/ä?ö=ü",
    "/a%20b?c=%7E%2f",
    "//x",
    "/a/../b",
    "/?",
    "/#part",
    "?q=1",
    "/x?a=1&a=2#f",
    "/'(!)*",
    "/.a",
):
    CLIENT_STYLES[f"url {_url}"] = lambda client, url=_url: all_of(client.get(url))
for _url in ("/x#f", "/x?", "/x?q=100%", "/ä b?ö=%C3", "", "?a", "/x?&", "http://127.0.0.1:1/x#f"):
    CLIENT_STYLES[f"params on {_url}"] = lambda client, url=_url: all_of(client.get(url, params={"b": "c d/é"}))
for _name, _data in {
    "text": "plain text",
    "umlauts": "grüße",
    "bytes": b"\x00\xff",
    "pairs": [("a", "1"), ("a", "2")],
    "empty form": {},
    "an empty text": "",
    "nothing to encode": {"a": []},
    "a number": {"a": 1, "b": None, "c": True},
    "a file": io.BytesIO(b"from a file"),
}.items():
    CLIENT_STYLES[f"post {_name}"] = lambda client, data=_data: (_rewound(data), all_of(client.post("/echo", data)))[1]
for _name, _json in {
    "list": [1, 2],
    "text": "a",
    "zero": 0,
    "umlauts": {"ä": "é"},
    "deep": {"a": {"b": [None]}},
}.items():
    CLIENT_STYLES[f"json {_name}"] = lambda client, json=_json: all_of(client.put("/echo", json=json))
for _name, _params in {
    "a list": {"id": [1, 2]},
    "pairs": [("a", "b"), ("a", "c&d")],
    "text": "a=b c",
    "bytes": b"a=1",
    "none": {"a": None},
    "umlauts": {"ä": "ö/?"},
    "empty": {},
}.items():
    CLIENT_STYLES[f"params {_name}"] = lambda client, params=_params: all_of(client.get("/json?x=1", params=params))
for _path in ("/short", "/garbage", "/empty", "/reset", "http://127.0.0.1:1/x", "http://nohost.invalid/", "/around"):
    CLIENT_STYLES[f"failing {_path}"] = lambda client, path=_path: _failure(client.get(path))
for _name, _options in {
    "read": {"timeout": 0.1},
    "both": {"timeout": (1, 0.1)},
    "connect only": {"timeout": (1, None)},
    "zero": {"timeout": 0},
    "three": {"timeout": (1, 2, 3)},
    "text": {"timeout": "1"},
}.items():
    CLIENT_STYLES[f"timeout {_name}"] = lambda client, options=_options: _failure(client.get("/slow", **options))
for _name, _wrong in {
    "line break": {"headers": {"X": "a\r\nb"}},
    "number": {"headers": {"X": 1}},
    "space": {"headers": {"X": " a"}},
    "no mapping": {"headers": [("X", "a")]},
    "emoji": {"headers": {"X": "\N{GRINNING FACE}"}},
    "nan": {"json": float("nan")},
    "set": {"json": {1}},
    "unknown": {"colour": "red"},
}.items():
    CLIENT_STYLES[f"wrong {_name}"] = lambda client, wrong=_wrong: _failure(client.post("/echo", **wrong))
for _url in ("ftp://127.0.0.1/", "http://", "http://[::1/", "/302/mail", "/302/nowhere"):
    CLIENT_STYLES[f"wrong {_url}"] = lambda client, url=_url: _failure(client.get(url))


def _rewound(data: object) -> None:
    if isinstance(data, io.BytesIO):
        data.seek(0)


def _failure(response: requests.Response) -> tuple[object, ...]:
    error = response.error
    return response.status_code, response.ok, response.content, response.text, type(error), error and error.response


@client_style
def larger_pools(client):
    for scheme in ("http://", "https://"):
        client.mount(scheme, HTTPAdapter(pool_connections=50, pool_maxsize=50))
    return all_of(client.get("/json"))


@client_style
def absolute_urls_of_two_hosts(client):
    other = client.base_url.replace("127.0.0.1", "localhost")
    return [all_of(client.get(f"{host}/json")) for host in (client.base_url, other, other)]


@client_style
def an_absolute_url_in_capitals(client):
    return all_of(client.get(client.base_url.replace("http", "HTTP") + "/json"))


@client_style
def headers_of_the_session(client):
    client.headers["X-Token"] = "t1"
    first = all_of(client.get("/"))
    client.headers.update({"x-token": "t2", "Accept": "application/json"})
    return first, all_of(client.get("/")), all_of(client.get("/", headers={"X-TOKEN": "mine", "Accept": None}))


@client_style
def headers_assigned(client):
    client.headers = {"X-Only": "1", "User-Agent": "me", "Accept-Encoding": "identity"}
    first = all_of(client.get("/"))
    client.headers["X-Only"] = "2"
    return first, all_of(client.get("/"))


@client_style
def headers_taken_away(client):
    del client.headers["User-Agent"]
    client.headers.pop("Accept-Encoding")
    return all_of(client.get("/"))


@client_style
def odd_headers(client):
    client.get("/", headers={"Host": "example.org", "Content-Type": "x/y"})
    client.get("/", headers={"Cookie": "own=1"})
    client.post("/echo", json={}, headers={"content-type": "application/vnd.api+json"})
    return client.post("/echo", data="abc", headers={"Content-Length": "3", "X-Bytes": b"b"}).text


@client_style
def a_login_by_cookie(client):
    client.get("/login")
    seen = client.get("/json").request.headers.get("Cookie"), client.get("/").request.headers.get("Cookie")
    client.get("/logout")
    return seen, client.cookies.get_dict(), all_of(client.get("/json"))


@client_style
def cookies_of_all_kinds(client):
    client.cookies.set("mine", "1")
    client.get("/", cookies={"once": "2"})
    client.cookies.update({"more": "3"})
    client.get("/expiring")
    client.cookies.pop("mine")
    return all_of(client.get("/")), sorted(client.cookies.keys())


@client_style
def cookies_of_one_request(client):
    client.get("/login")
    first = [all_of(client.get("/json", cookies={"session": "mine", "x": "y"}, verify=False)) for _ in range(2)]
    client.post("/302", cookies={"a": "b"}, files={"f": ("n", b"1")}, data={"c": "d"}, auth=("e", "f"))
    client.get("/twice", cookies={"z": "1", "a": "2"}, headers={"X-A": None, "Accept": None})
    return first, client.cookies.get_dict()


@client_style
def a_token_in_place_of_all_headers(client):
    client.headers = {"Authorization": "Token t"}
    client.put("/echo", json={"a": 1})
    return all_of(client.post("/echo", files={"f": b"x"})), all_of(client.get("/gzip", headers={"User-Agent": None}))


@client_style
def files_beside_text(client):
    return client.post("/echo", data="text", files={"f": b"x"})


@client_style
def cookies_assigned(client):
    jar = RequestsCookieJar()
    jar.set("a", "1", path="/json")
    client.cookies = jar
    return all_of(client.get("/json")), all_of(client.get("/"))


@client_style
def cookies_of_some_paths(client):
    client.cookies.set("here", "1", path="/json")
    client.cookies.set("there", "2", domain="localhost.local")
    other = client.base_url.replace("127.0.0.1", "localhost")
    return [all_of(client.get(url)) for url in ("/json", "/", "/json/x", f"{other}/json", "/", "/json?a=1")]


@client_style
def cookies_cleared(client):
    client.get("/login")
    client.cookies.clear()
    return all_of(client.get("/json"))


@client_style
def basic_authentication(client):
    client.get("/", auth=("name", "pass:word"))
    client.auth = ("ä", "ö")
    client.get("/", headers={"Authorization": "Bearer t"})
    client.auth = HTTPBasicAuth("a", "b")
    return all_of(client.post("/echo", json={"a": 1})), all_of(client.get("/"))


@client_style
def authentication_of_one_request(client):
    client.get("/json", auth=("a", "b"), headers={"X-A": "1"})
    client.auth = ("session", "word")
    client.post("/echo", json={}, auth=("other", "word"))
    client.get("/", auth=())
    return all_of(client.get("/json", params={"a": 1}))


@client_style
def digest_authentication(client):
    response = client.get("/digest", auth=HTTPDigestAuth("name", "word"), name="digest")
    return response.status_code, response.text, len(response.history)


@client_style
def authentication_of_ones_own(client):
    def sign(request):
        request.headers["X-Signed"] = f"{request.method} {request.path_url} {request.body}"
        return request

    return all_of(client.post("/echo", json={"a": 1}, auth=sign))


@client_style
def files_of_many_kinds(client):
    client.post("/echo", files={"file": io.BytesIO(b"abc")})
    client.post("/echo", files={"file": ("n.csv", "a,b", "text/csv")}, data={"field": "x"})
    return client.put("/echo", files=[("f", ("1.txt", b"1")), ("f", ("2.txt", b"2"))]).text


@client_style
def a_generator_as_body(client):
    return client.post("/echo", data=(piece for piece in (b"one", b"two"))).text


@client_style
def no_redirects(client):
    response = client.post("/302", allow_redirects=False, name="login")
    return all_of(response), response.next.url, response.is_permanent_redirect


@client_style
def too_few_redirects(client):
    client.max_redirects = 1
    return _failure(client.get("/twice"))


@client_style
def caught_and_judged(client):
    with client.get("/missing", catch_response=True) as response:
        response.success()
    with client.get("/", catch_response=True, name="wrong page") as response:
        response.failure("not what I wanted")
    with client.get("/json", catch_response=True) as response:
        response.failure(ValueError("mine"))


@client_style
def caught_and_left_alone(client):
    with client.get("/error", catch_response=True):
        pass
    with client.get("http://127.0.0.1:1/", catch_response=True) as response:
        assert response.status_code == 0
    with client.get("/", catch_response=True) as response:
        response.raise_for_status()


@client_style
def caught_with_an_exception(client):
    with client.get("/json", catch_response=True) as response:
        assert response.json()["a"] == 1, "no"


@client_style
def caught_with_raise_for_status(client):
    with client.get("/missing", catch_response=True, name="strict") as response:
        response.raise_for_status()


@client_style
def with_without_catching(client):
    with client.get("/"):
        pass


@client_style
def judged_too_late(client):
    client.get("/").success()


@client_style
def named_and_renamed(client):
    client.get("/?id=1", name="/?id=[id]")
    with client.rename_request("group"):
        client.get("/json", params={"a": 1})
        client.post("/echo", json={}, name="own")
    client.request_name = "by hand"
    client.get("/missing")


@client_style
def requests_by_method(client):
    client.request("get", "/")
    client.request("REPORT", "/echo", data="<x/>", headers={"Depth": "1"})
    return client.request(method="PUT", url="/echo", json={"a": 1}, name="put").json()


@client_style
def context_of_the_request(client):
    client.get("/", context={"case": 7})
    client.get("/files", context={"a": 1}, cookies={"x": "y"})


@client_style
def streamed(client):
    response = client.get("/lines", stream=True)
    lines = list(response.iter_lines(decode_unicode=True))
    return lines, [*client.get("/chunked", stream=True).iter_content(3)], client.get("/lines", stream=True).raw.read()


@client_style
def not_json(client):
    try:
        return client.get("/broken-json").json()
    except requests.exceptions.JSONDecodeError as error:
        return str(error)


@client_style
def json_of_all_kinds(client):
    return client.get("/json").json(), client.get("/gzip").json(), client.get("/json").json(parse_float=str)


@client_style
def raising_for_status(client):
    return client.get("/error").raise_for_status()


@client_style
def a_coding_that_is_none(client):
    return _failure(client.get("/no-gzip"))


@client_style
def settings_of_the_session(client):
    client.params = {"key": "k"}
    client.get("/json", params={"a": 1})
    client.verify = False
    client.stream = True
    return all_of(client.get("/json"))


@client_style
def hooks(client):
    seen = []
    client.get("/", hooks={"response": lambda response, **_: seen.append(response.status_code)})
    client.hooks["response"].append(lambda response, **_: seen.append(response.url))
    client.get("/302")
    return seen


@client_style
def prepared_by_hand(client):
    client.get("/")
    prepared = client.prepare_request(requests.Request("POST", f"{client.base_url}/echo", json={"a": 1}))
    return all_of(client.send(prepared, timeout=1))


@client_style
def a_slow_drip_within_its_timeout(client):
    return client.get("/drip", timeout=1.5).text


@client_style
def base_url_changed(client):
    client.get("/")
    client.base_url += "/api/"
    return all_of(client.get("v1")), all_of(client.get("/v2"))


@client_style
def base_url_switched_for_the_same_path(client):
    first = client.base_url
    seen = [all_of(client.get("/json"))]
    client.base_url = f"{first}/api"
    seen.append(all_of(client.get("/json")))
    client.base_url = first
    return [*seen, all_of(client.get("/json"))]


@client_style
def nothing_but_truth(client):
    return [bool(client.get(path)) for path in ("/", "/missing", "/302", "http://127.0.0.1:1/")]


@user_style
def tasks_of_a_user(base):
    class Website(base):
        def on_start(self):
            self.client.post("/login", {"user": "a"})

        @task
        def page(self):
            self.client.get("/json")
            raise StopUser

        def on_stop(self):
            self.client.get("/logout")

    return Website


@user_style
def nested_task_sets(base):
    class Browse(TaskSet):
        @task
        def read(self):
            self.client.get("/json", name=f"read of {type(self.user).__name__}")
            self.interrupt(reschedule=False)

    class Website(base):
        tasks = (Browse,)

        def on_start(self):
            self.left = 3

        def wait_time(self):
            self.left -= 1
            if not self.left:
                raise StopUser
            return 0

    return Website


@user_style
def a_sequence(base):
    class Steps(SequentialTaskSet):
        @task
        def first(self):
            self.token = self.client.get("/json").json()["a"]

        @task
        def second(self):
            self.client.get("/", headers={"X-Token": str(self.token)})
            raise StopUser

    return type("Website", (base,), {"tasks": [Steps], "wait_time": constant(0)})


@user_style
def the_rest_of_a_user(base):
    class Rest(base):
        @task
        def all(self):
            with self.rest("GET", "/json") as response:
                assert response.js["a"] == 1, "unexpected"
            with self.rest_("POST", "/echo", json={"a": 1}, name="once") as response:
                self.seen = response.js["a"]
            with self.rest("GET", "/") as response:
                pass
            raise StopUser

    return Rest


@user_style
def a_user_with_context_and_a_listener(base):
    class Listening(base):
        def context(self):
            return {"user": "me"}

        @task
        def page(self):
            def stop(exception, context, **_):
                raise StopUser if exception else RescheduleTask

            self.environment.events.request.add_listener(stop)
            self.client.get("/missing", context={"more": 1})

    return Listening


@user_style
def headers_set_when_made(base):
    class Behind(base):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            self.client.headers["X-Forwarded-For"] = "10.0.0.1"
            self.client.verify = False

        @task
        def page(self):
            self.client.get("/")
            raise StopUser

    return Behind
