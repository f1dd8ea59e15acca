"""Bytes become answers, however they are split."""

from __future__ import annotations

import itertools
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.http import bodies
from loadproof.http.answers import Answer, AnswerParser
from loadproof.http.bodies import UnreadBodyError
from loadproof.http.head import BeyondLimitError, MalformedAnswerError, read_head

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def parsed(raw: bytes, *cuts: int, is_head: bool = False) -> tuple[Answer | None, AnswerParser]:
    """The answer from `raw`, fed in pieces until it is complete."""
    parser = AnswerParser()
    parser.begin(is_head=is_head, accepted=None)
    edges = [0, *sorted(cuts), len(raw)]
    for start, end in itertools.pairwise(edges):
        if raw[start:end] and (answer := parser.feed(raw[start:end])):
            return answer, parser
    return None, parser


WHOLE = {
    "content-length": (OK, b"hi"),
    "chunked": (CHUNKED + b"2\r\nhi\r\n4;a=b\r\n you\r\n0\r\n\r\n", b"hi you"),
    "trailers": (CHUNKED + b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n", b"hi"),
    "long size": (CHUNKED + b"0002 \r\nhi\r\n000\r\n\r\n", b"hi"),
    "empty": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
    "two equal lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length:  2\r\n\r\nhi", b"hi"),
    "list of equal lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2,2 , 02\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    "folded header": (b"HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\nContent-Length:\r\n 2\r\n\r\nhi", b"hi"),
    "status 600": (b"HTTP/1.1 600 Odd\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    "status 999": (b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    "status 099": (b"HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    "100": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"hi"),
    "102 and 103": (b"HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, b"hi"),
}


@pytest.mark.parametrize(("raw", "body"), WHOLE.values(), ids=WHOLE)
def test_every_way_to_end_a_message_is_understood(raw, body):
    """Split at any one byte, and at all of them; never a byte too early."""
    for cut in range(len(raw)):
        answer, parser = parsed(raw, cut)
        assert (answer.body, parser.keeps_alive) == (body, True)
        assert parsed(raw[:cut])[0] is None
    assert parsed(raw, *range(len(raw)))[0].body == body


def test_headers_that_answers_share_cannot_be_changed():
    """The next answer with the same head has the same object."""
    (answer, _), (again, _) = parsed(OK), parsed(OK)
    for change in (
        lambda headers: headers.pop("content-length"),
        lambda headers: headers.update({"retry-after": "3"}),
        lambda headers: headers.__setitem__("retry-after", "3"),
        lambda headers: headers.__delitem__("content-length"),
        lambda headers: headers.setdefault("retry-after", "3"),
        lambda headers: headers.__ior__({"retry-after": "3"}),
        lambda headers: headers.clear(),
        lambda headers: headers.popitem(),
    ):
        with pytest.raises(TypeError, match="make a copy"):
            change(answer.headers)
    assert again.headers == {"content-length": "2"} == dict(answer.headers) | {}


@pytest.mark.parametrize("status", [b"204", b"304"])
def test_some_statuses_have_no_body_whatever_their_headers_say(status):
    """What follows is surplus, even if it has the stated length."""
    answer, parser = parsed(b"HTTP/1.1 " + status + b" X\r\nContent-Length: 1\r\n\r\nH")
    assert (answer.body, parser.keeps_alive) == (b"", False)


@pytest.mark.parametrize(("raw", "body"), WHOLE.values(), ids=WHOLE)
def test_surplus_bytes_are_never_the_next_answer(raw, body):
    """However it is split, the answer is the same, and a connection that delivered more is not used again."""
    for cut in range(len(raw)):
        answer, parser = parsed(raw + OK, cut)
        assert answer.body == body
        assert not parser.keeps_alive


@pytest.mark.parametrize(
    "raw", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end", b"HTTP/1.0 200 OK\r\n\r\nto the end"]
)
def test_the_end_of_the_connection_can_end_a_body(raw):
    """Only where nothing else does."""
    for cut in range(len(raw)):
        answer, parser = parsed(raw, cut)
        assert answer is None
        assert parser.end().body == b"to the end"
        assert not parser.keeps_alive


@pytest.mark.parametrize("raw", [b"", OK[:10], OK[:30], OK[:-1], CHUNKED, CHUNKED + b"2\r\nhi\r\n0\r\n"])
def test_the_end_of_the_connection_cuts_everything_else_off(raw):
    """The reason says where it was cut off."""
    answer, parser = parsed(raw)
    assert answer is None
    with pytest.raises(MalformedAnswerError, match="closed"):
        parser.end()


MALFORMED = {
    "garbage": b"garbage",
    "garbage at the end of a head": b"garbage\r\n\r\n",
    "another protocol": b"ICY 200 OK\r\n\r\n",
    "http/2": b"HTTP/2 200 OK\r\n\r\n",
    "http/1.3": b"HTTP/1.3 200 OK\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi",
    "folded status line": b"HTTP/1.1 200 OK\r\n c\r\nContent-Length: 2\r\n\r\nhi",
    "folded name": b"HTTP/1.1 200 OK\r\nContent-Length\r\n : 2\r\n\r\nhi",
    "folded length": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 1\r\n\r\nhi",
    "null in a folded header": b"HTTP/1.1 200 OK\r\nA: b\r\n c\0\r\n\r\n",
    "null in a header": b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
    "length in hexadecimal": b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nhi",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
    "list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nhi",
    "list with nothing in it": b"HTTP/1.1 200 OK\r\nContent-Length: 2,\r\n\r\nhi",
    "list of signed lengths": b"HTTP/1.1 200 OK\r\nContent-Length: +2, +2\r\n\r\nhi",
    "two huge lengths": b"HTTP/1.1 200 OK\r\n" + 2 * b"Content-Length: 99999999999999999999\r\n" + b"\r\n",
    "two lengths and chunks": CHUNKED[:-2] + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown transfer coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunk size in words": CHUNKED + b"two\r\nhi\r\n",
    "negative chunk size": CHUNKED + b"-2\r\nhi\r\n",
    "chunk longer than told": CHUNKED + b"1\r\nhi\r\n0\r\n\r\n",
    "lines that are no headers": b"HTTP/1.1 200 OK\r\n" + b"body body\r\n" * 8000,
    "chunk size without an end": CHUNKED + b"0" * 5000,
    "switching protocols": b"HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
}
BEYOND_LIMITS = {
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000,
    "one endless header": b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000,
    "large head": b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n",
    "endless trailers": CHUNKED + b"0\r\n" + b"A: b\r\n" * 20_000,
    "endless chunk extension": CHUNKED + b"2;" + b"a" * 5000,
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_anything_but_http_is_refused_at_once(raw):
    """Not only after a timeout, and wherever it is split. It is the target's mistake, however long it is."""
    for cut in {1, 5, len(raw) // 2, len(raw) - 1}:
        with pytest.raises(MalformedAnswerError) as caught:
            parsed(raw, cut)
        assert not caught.errisinstance(BeyondLimitError)


@pytest.mark.slow
@pytest.mark.parametrize("raw", BEYOND_LIMITS.values(), ids=BEYOND_LIMITS)
def test_more_than_we_read_is_distinguished_from_what_is_not_http(raw):
    """Also at once."""
    for cut in {1, 5, len(raw) // 2, len(raw) - 1}:
        with pytest.raises(BeyondLimitError):
            parsed(raw, cut)


@pytest.mark.parametrize("more", [b"", OK])
def test_a_body_that_is_too_long_is_read_and_not_kept(monkeypatch, more):
    """It is read to its end, so the connection can be reused; a body of exactly the limit is kept."""
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 10)
    for length in (10, 11, 500):
        body = b"x" * length
        whole = (
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (length, body),
            CHUNKED + b"6\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:6], length - 6, body[6:]),
        )
        for raw in whole:
            for cut in (len(raw) - 3, len(raw) - 8):
                answer, parser = parsed(raw + more, cut)
                assert (answer.size, parser.keeps_alive) == (length, not more)
                _assert_kept(answer, body)
        answer, parser = parsed(b"HTTP/1.1 200 OK\r\n\r\n" + body)
        assert answer is None
        _assert_kept(parser.end(), body)


def _assert_kept(answer: Answer, body: bytes) -> None:
    """Bodies of up to ten bytes are kept."""
    assert answer.size == len(body)
    if len(body) <= 10:
        assert answer.body == body
        return
    assert answer.received == b""
    assert answer.unread is None
    with pytest.raises(UnreadBodyError, match="more than 10 bytes is beyond what loadproof reads"):
        _ = answer.body
    assert "10 bytes" in answer.unread


def test_head_has_no_body():
    """Content-Length says what GET would send, and the parser doesn't wait for it."""
    for raw in (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", CHUNKED):
        answer, parser = parsed(raw, is_head=True)
        assert (answer.body, parser.keeps_alive) == (b"", True)


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"HTTP/1.1 204 X\r\n\r\n", True),
        (b"HTTP/1.1 204 X\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 204 X\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.1 204 X\r\nConnection: x, close\r\n\r\n", False),
        (b"HTTP/1.0 204 X\r\n\r\n", False),
        (b"HTTP/1.0 204 X\r\nConnection: Keep-Alive\r\n\r\n", True),
    ],
)
def test_connections_are_kept_if_the_answer_says_so(head, keeps):
    """RFC 9112, section 9.3."""
    assert parsed(head)[1].keeps_alive is keeps


def test_repeated_headers_are_joined():
    """Names in lower case, values in Latin-1 and without surrounding space."""
    head = read_head("HTTP/1.1 200 OK\r\nSet-Cookie:  a \r\nSET-COOKIE: ä\r\n\r\n".encode("latin-1"))
    assert head.headers == {"set-cookie": "a, ä"}


def test_folded_headers_are_one_line():
    """RFC 9112, section 5.2; the lines that are not folded stay as they are."""
    head = read_head(b"HTTP/1.1 200 OK\r\nA: b \r\n  c\r\n\td\r\n \r\nE: f\r\n g\r\nLocation: /h\r\n\r\n")
    assert {name: value.split() for name, value in head.headers.items()} == {
        "a": ["b", "c", "d"],
        "e": ["f", "g"],
        "location": ["/h"],
    }


def test_a_hostile_head_is_read_quickly():
    """With as many blanks and folds as fit."""
    for filling in (b" " * 60_000, b"\r\n " * 20_000, b",2" * 30_000):
        began_s = time.monotonic()
        with suppress(MalformedAnswerError):
            read_head(b"HTTP/1.1 200 OK\r\nContent-Length: 2" + filling + b"\r\nA : b\r\n\r\n")
        assert time.monotonic() - began_s < 1


PIECES = (b"Content-Length: 2", b"content-length:", b" 2", b",", b"\r\n", b" ", b"\t", b"A: b", b"A : b", b"\0", b":")


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_a_head_is_normalized_only_once(pieces):
    """A head that is still invalid then is refused, not rewritten again and again."""
    with suppress(MalformedAnswerError):
        read_head(b"HTTP/1.1 200 OK\r\n" + b"".join(pieces) + b"\r\n\r\n")


def test_heads_that_differ_by_a_byte_are_not_mixed_up():
    """They come from a cache."""
    for number in range(10):
        assert read_head(b"HTTP/1.1 20%d OK\r\nA: %d\r\n\r\n" % (number, number))[:2] == (
            200 + number,
            {"a": str(number)},
        )


def test_json_is_strict():
    """ValueError for anything else."""
    assert Answer(200, {}, b'{"a":[1,null]}').json == {"a": [1, None]}
    for body in (b"", b"{", b"NaN", b'"\xff"'):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever the library says
            _ = Answer(200, {}, body).json


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5), st.booleans())
def test_any_bytes_end_in_an_answer_or_an_error(raw, cuts, is_head):
    """Nothing else is ever raised."""
    for prefix in (b"", b"HTTP/1.1 200 OK\r\n", CHUNKED):
        try:
            answer, parser = parsed(prefix + raw, *(min(cut, len(prefix + raw)) for cut in cuts), is_head=is_head)
            if answer is None:
                parser.end()
        except MalformedAnswerError:
            pass


@given(
    st.lists(st.binary(min_size=1, max_size=50), max_size=5),
    st.lists(st.integers(0, 400), max_size=6),
    st.sampled_from(["length", "chunked", "close"]),
)
def test_any_body_survives_any_split(parts, cuts, way):
    """Exactly as it was sent."""
    body = b"".join(parts)
    if way == "chunked":
        raw = CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    elif way == "length":
        raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    else:
        raw = b"HTTP/1.1 200 OK\r\n\r\n" + body
    answer, parser = parsed(raw, *(min(cut, len(raw)) for cut in cuts))
    assert (answer or parser.end()).body == body
