"""What the fast path encodes, compared with what requests prepares and urllib3 writes; nothing is sent."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from requests import Request

from tests import unpatched  # noqa: F401 - before locust

from loadproof.errors import UnsafeTargetError  # isort: skip
from loadproof.http.origin import Origin  # isort: skip
from loadproof.httpuser import session as sessions  # isort: skip
from loadproof.httpuser import transport  # isort: skip
from loadproof.scenario.safety import is_loopback  # isort: skip

URLS = st.text("/.?#&=%20aAzZ-_~:;@'\"<>[]{}|\\^`+*!()é,$\t", max_size=14).map(lambda rest: f"/{rest}")
VALUES = st.text("ab /%é&=+?#~\u20ac", max_size=6)
NAMES = st.sampled_from(
    ["X-A", "x-a", "Accept", "User-Agent", "Content-Type", "Accept-Encoding", "Authorization", "Host"]
)
FIELDS = st.dictionaries(
    st.text("aé &=", min_size=1, max_size=3), VALUES | st.integers() | st.none() | st.lists(VALUES)
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "params": FIELDS | st.lists(st.tuples(VALUES, VALUES), max_size=3),
        "headers": st.dictionaries(NAMES, st.text("ab ;\xe9\n\u20ac", max_size=5) | st.none(), max_size=3),
        "cookies": st.dictionaries(st.sampled_from(["a", "b"]), st.text("xyz1", max_size=3), max_size=2),
        "auth": st.tuples(VALUES, VALUES).filter(lambda pair: "\u20ac" not in "".join(pair)),
    },
)
BODIES = st.fixed_dictionaries(
    {}, optional={"data": VALUES | st.binary(max_size=4) | FIELDS, "json": st.none() | st.floats() | FIELDS}
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(method=st.sampled_from(["GET", "post", "HEAD", "DELETE", "PUT"]), url=URLS, options=OPTIONS, body=BODIES)
def test_the_fast_path_writes_what_requests_writes(method, url, options, body):
    """To the last byte; whatever it leaves to requests isn't checked."""
    session = sessions.HttpSession("http://127.0.0.1:1", None, None)
    session.cookies.set("a", "of the session", path="/a")
    form = session._form(method, url, options)
    sent = form and sessions._filled(form, body.get("data"), body.get("json"), None)
    assume(sent is not None)
    complete = Request(method.upper(), f"http://127.0.0.1:1{url}", **options, **body)
    prepared = session.prepare_request(complete)
    assert (form.url, form.path) == (prepared.url, prepared.path_url)
    parts = urlsplit(prepared.url)
    assert sent.packet == transport._packet_of(
        prepared, transport.Pool("", Origin.of(f"{parts.scheme}://{parts.netloc}"))
    )


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(rest=st.text("@:/\\.#?[]a1%\t", max_size=10))
def test_no_text_after_the_base_url_leads_to_another_host(rest):
    """However it is written."""
    session = sessions.HttpSession("http://127.0.0.1", None, None)
    try:
        form = session._form("GET", f"{rest}192.0.2.1/", {})
    except UnsafeTargetError:
        return
    assert form is None or is_loopback(form.pool.origin.host)
