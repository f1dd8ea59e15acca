"""How much of an answer is read, to the byte, and how more is refused: as our limit, or as the target's mistake."""

from __future__ import annotations

import gzip
import time
import zlib

import pytest

from loadproof.http import answers, bodies
from loadproof.http.answers import AnswerParser
from loadproof.http.bodies import UnreadBodyError, Wrapping, WrongBodyError, codings_of, unreadable_codings, unwrapped
from loadproof.http.chunked import ChunkedBody
from loadproof.http.connection import Connection
from loadproof.http.head import (
    BeyondLimitError,
    BrokenBodyError,
    MalformedAnswerError,
    cached_head,
    possible_head,
    read_head,
)
from loadproof.http.messages import Request, Timing, WantError
from tests.loadproof.http.connections import connection_to
from tests.servers import answering, serving

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
HEAD = b"HTTP/1.1 200 OK\r\n"
NO_STATUS_LINE = "not HTTP: it does not begin with a status line of HTTP/1"


def begun(*, is_head: bool = False) -> AnswerParser:
    parser = AnswerParser()
    parser.begin(is_head=is_head, accepted=None)
    return parser


def head_of(size: int) -> bytes:
    """A head of `size` bytes, the empty line included."""
    return HEAD + b"X: " + b"a" * (size - len(HEAD) - len(b"X: \r\n\r\n")) + b"\r\n\r\n"


@pytest.mark.parametrize("cut", [1, 7, 65_536])
def test_interim_answers_are_skipped_however_many_there_are(cut):
    """They have no body, and only the request's timeout ends them: we set no limit to their number."""
    raw = b"HTTP/1.1 102 Processing\r\nX: 1\r\n\r\n" * 3000 + OK
    parser = begun()
    *waiting, answer = [parser.feed(raw[at : at + cut]) for at in range(0, len(raw), cut)]
    assert not any(waiting)
    assert answer.body == b"hi"


def test_a_switch_of_protocols_is_refused():
    """We never ask for it."""
    with pytest.raises(MalformedAnswerError, match=r"^switches protocols without being asked$"):
        begun().feed(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "closed without an answer"),
        (HEAD, "closed within the headers"),
        (OK[:-1], "closed within the body"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nh", "closed within the body"),
    ],
)
def test_the_end_of_a_connection_is_reported_with_its_place(raw, reason):
    """For each part of an answer."""
    parser = begun()
    assert parser.feed(raw) is None or raw
    with pytest.raises(MalformedAnswerError, match=rf"^{reason}$"):
        parser.end()


def test_a_head_of_exactly_the_limit_is_read():
    """In one piece or in two; one byte more is beyond our limit."""
    assert read_head(head_of(65_536)).status == 200
    assert possible_head(head_of(65_538)[:65_536])
    for read, block in ((read_head, head_of(65_537)), (possible_head, head_of(70_000)[:65_537])):
        with pytest.raises(BeyondLimitError, match=r"^headers of more than 65,536 bytes$"):
            read(block)


def test_a_malformed_head_beyond_the_limit_is_the_targets_mistake():
    """However long it is."""
    with pytest.raises(MalformedAnswerError) as wrong:
        possible_head(HEAD + b"no header\r\n" + b"a" * 70_000)
    assert not isinstance(wrong.value, BeyondLimitError)


@pytest.mark.parametrize(
    "block", [b"RTSP/1.0 200 OK\r\n\r\n", b"ICE/1.0 200 OK\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/2 200\r\n\r\n"]
)
def test_another_protocol_is_recognised(block):
    """Some look much like HTTP, and httptools accepts them."""
    for read in (read_head, possible_head):
        with pytest.raises(MalformedAnswerError, match=rf"^{NO_STATUS_LINE}$"):
            read(block)


@pytest.mark.parametrize("unread", [b"", b"H", b"HTTP/1.", b"HTTP/1.1 2", HEAD, HEAD[:-1], b"HTTP/1.0 404\r\nA:"])
def test_bytes_that_can_become_a_head_are_kept(unread):
    """It is kept as received."""
    assert possible_head(unread) == unread


@pytest.mark.parametrize(
    ("unread", "reason"),
    [
        (b"h", NO_STATUS_LINE),
        (b"HTTP/2", NO_STATUS_LINE),
        (b"HTTP/1.1 OK\r\n", NO_STATUS_LINE),
        (HEAD + b"A: b\n\n", "not HTTP: header lines end without a carriage return"),
    ],
)
def test_bytes_that_cannot_become_a_head_are_refused_at_once(unread, reason):
    """Not only after a timeout."""
    with pytest.raises(MalformedAnswerError, match=rf"^{reason}$"):
        possible_head(unread)


@pytest.mark.parametrize(
    ("fields", "keeps_alive"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x , close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: closed\r\n", True),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: close\r\n", False),
    ],
)
def test_version_and_options_decide_whether_a_connection_is_kept(fields, keeps_alive):
    """In upper or lower case, and among other options."""
    assert cached_head(fields + b"Content-Length: 0\r\n\r\n").keeps_alive is keeps_alive


def test_repeated_heads_are_cached_unless_they_are_large():
    """Heads of up to 2,048 bytes are cached."""
    assert cached_head(head_of(2048)) is cached_head(head_of(2048))
    assert cached_head(head_of(2049)) is not cached_head(head_of(2049))
    assert cached_head(head_of(2049)) == read_head(head_of(2049))


def test_a_head_describes_its_body():
    """Names in lower case, repeated values joined, blanks stripped."""
    head = read_head(HEAD + b"Content-Encoding: x-GZIP, identity , br\r\nA: 1\r\na:  2\t\r\nContent-Length: 07\r\n\r\n")
    assert (head.status, head.length, head.is_chunked, head.codings) == (200, 7, False, ("gzip", "br"))
    assert head.headers["a"] == "1, 2"
    assert read_head(HEAD + b"Transfer-Encoding: Chunked \r\n\r\n").is_chunked
    with pytest.raises(MalformedAnswerError, match=r"^a transfer coding that was not requested$"):
        read_head(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n")
    for status in (b"204", b"304", b"100", b"199"):
        assert read_head(b"HTTP/1.1 " + status + b" X\r\nContent-Length: 5\r\n\r\n").length is None
    assert read_head(b"HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\n").length == 5


@pytest.mark.parametrize(("length", "kept"), [(8, b"a" * 8), (9, b"")])
def test_a_body_is_kept_up_to_the_limit_and_only_timed_beyond_it(monkeypatch, length, kept):
    """Reading a body that was not kept raises an error that names our limit."""
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 8)
    for head in (
        b"Content-Length: %d\r\n\r\n" % length,
        b"Connection: close\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
    ):
        parser = begun()
        parts = [b"a" * 4, b"a" * (length - 4)]
        if b"chunked" in head:
            parts = [b"%x\r\n%s\r\n" % (len(part), part) for part in parts] + [b"0\r\n\r\n"]
        fed = [parser.feed(part) for part in (HEAD + head, *parts)]
        answer = fed[-1] or parser.end()
        assert fed[:-1] == [None] * (len(fed) - 1)
        assert (answer.received, answer.size) == (kept, length)
        if kept:
            assert answer.body == kept
        else:
            with pytest.raises(UnreadBodyError, match=r"^a body of more than 8 bytes is beyond what loadproof reads$"):
                _ = answer.body
            assert answer.unread == "a body of more than 8 bytes is beyond what loadproof reads"


def test_nothing_is_kept_of_a_body_once_it_is_too_long(monkeypatch):
    """Also if the end of the connection ends it."""
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 8)
    parser = begun()
    parser.feed(HEAD + b"\r\n" + b"a" * 8)
    assert parser._parts
    parser.feed(b"a")
    assert not parser._parts
    chunks = ChunkedBody(8)
    chunks.feed(b"8\r\naaaaaaaa\r\n")
    assert chunks.body
    chunks.feed(b"1\r\na\r\n")
    assert (chunks.body, chunks.size) == (b"", 9)


@pytest.mark.parametrize(
    ("raw", "error", "reason"),
    [
        (b"g\r\n", BrokenBodyError, "not a chunk's size"),
        (b"1\r\nab\r\n", BrokenBodyError, "a chunk longer than its size"),
        (b"-1\r\n", BrokenBodyError, "not a chunk's size"),
        (b"1" * 16 + b"\r\n", BrokenBodyError, "not a chunk's size"),
        (b"1;" + b"a" * 4095, BeyondLimitError, "a line of more than 4,096 bytes outside the chunks"),
        (b"a" * 4097, BrokenBodyError, "not a chunk's size"),
        (b"0\r\n" + b"a" * 4097, BeyondLimitError, "a line of more than 4,096 bytes outside the chunks"),
        (b"0\r\n" + (b"a" * 4000 + b"\r\n") * 17, BeyondLimitError, "trailers of more than 65,536 bytes"),
    ],
    ids=["letters", "longer", "negative", "digits", "extension", "endless", "trailer", "trailers"],
)
def test_malformed_chunks_are_refused_with_the_reason(raw, error, reason):
    """As the target's mistake, or as more than we read."""
    with pytest.raises(MalformedAnswerError, match=rf"^{reason}$") as refused:
        ChunkedBody(10_000).feed(raw)
    assert type(refused.value) is error


def test_chunks_are_read_up_to_their_limits():
    """A line of 4,096 bytes may still be completed; trailers of 65,536 bytes are skipped."""
    assert ChunkedBody(10).feed(b"1;" + b"a" * 4094) is None
    trailers = (b"a" * 4000 + b"\r\n") * 16 + b"b" * 1536 + b"\r\n"
    assert ChunkedBody(10).feed(b"0\r\n" + trailers + b"\r\nrest") == b"rest"
    for cut in range(1, 10):
        chunks = ChunkedBody(10)
        raw = b"2\r\nhi\r\n0\r\n\r\n"
        assert (chunks.feed(raw[:cut]), chunks.feed(raw[cut:]), chunks.body) == (None, b"", b"hi")


def wrapped(body: bytes, *codings: str, accepted: str | None = None, size: int | None = None) -> bytes:
    return unwrapped(body, Wrapping(codings, accepted, len(body) if size is None else size))


LARGE = gzip.compress(b"0" * 10_000_001)


def packed_times(times: int) -> bytes:
    body = b"x"
    for _ in range(times):
        body = gzip.compress(body)
    return body


@pytest.mark.parametrize(
    ("body", "codings", "accepted", "error", "reason"),
    [
        (LARGE, ["gzip"], None, UnreadBodyError, "a compressed body of more than 10,000,000 bytes is beyond "),
        (packed_times(6), ["gzip"] * 6, None, UnreadBodyError, "a body compressed more than 5 times is beyond "),
        (b"x", ["zstd"], None, UnreadBodyError, "a body compressed as zstd is beyond what loadproof reads"),
        (b"x", ["zstd"], "br", WrongBodyError, "compressed as zstd, which the request's Accept-Encoding doesn't allow"),
        (b"x", ["odd"], None, UnreadBodyError, "a body compressed as something that HTTP doesn't know is beyond "),
        (b"x", ["odd"], "*", UnreadBodyError, "a body compressed as something that HTTP doesn't know is beyond "),
        (b"x", ["odd"], "odd", UnreadBodyError, "a body compressed as something that HTTP doesn't know is beyond "),
        (b"x", ["odd"], "gzip", WrongBodyError, "compressed as something that HTTP doesn't know, which the request's "),
        (
            packed_times(1),
            ["gzip"],
            "gzip;q=0",
            WrongBodyError,
            "compressed as gzip, which the request's Accept-Encoding ",
        ),
        (
            packed_times(1),
            ["gzip"],
            "",
            WrongBodyError,
            "compressed as gzip, which the request's Accept-Encoding doesn't",
        ),
        (packed_times(1)[:-1], ["gzip"], None, WrongBodyError, "a compressed body that is cut off"),
        (b"garbage", ["gzip"], None, WrongBodyError, "a compressed body that can't be decompressed"),
        (b"garbage", ["br"], None, WrongBodyError, "a compressed body that can't be decompressed"),
        (packed_times(1) * 1001, ["gzip"], None, UnreadBodyError, "a body of more than 1000 gzip members is beyond "),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_an_unread_body_says_why_and_whose_fault_it_is(body, codings, accepted, error, reason):
    """The target's fault (WrongBodyError), or our own limit (UnreadBodyError)."""
    with pytest.raises(error) as refused:
        wrapped(body, *codings, accepted=accepted)
    assert str(refused.value).startswith(reason)


def test_bodies_are_decoded_up_to_their_limits():
    """Packed five times, or in a thousand members, with any coding that the request accepts."""
    assert wrapped(packed_times(5), *["gzip"] * 5) == b"x"
    assert wrapped(gzip.compress(b"a") * 1000, "gzip") == b"a" * 1000
    assert wrapped(b"", "gzip", size=0) == b""
    for accepted in ("gzip", "x-gzip", "*", "br, GZIP;q=0.5", "gzip;q=0.001", "identity;q=0, *;q=1"):
        assert wrapped(gzip.compress(b"a"), "gzip", accepted=accepted) == b"a"
    for refused in ("gzip;q=0.000", "gzip; q=0", "*;q=0", "gzip;q=0, *"):
        with pytest.raises(WrongBodyError):
            wrapped(gzip.compress(b"a"), "gzip", accepted=refused)


def test_deflate_is_read_with_or_without_a_header():
    """The first two bytes tell which."""
    raw = zlib.compressobj(wbits=-15)
    for content in (zlib.compress(b"a" * 100), raw.compress(b"a" * 100) + raw.flush()):
        assert wrapped(content, "deflate") == b"a" * 100


def test_half_of_a_zlib_header_is_not_taken_for_one():
    """Raw data may by chance be divisible by 31, or name the method."""
    found = 0
    for number in range(400):
        content = b"%d" % number * 3
        packer = zlib.compressobj(wbits=-15)
        packed = packer.compress(content) + packer.flush()
        found += int.from_bytes(packed[:2]) % 31 == 0
        assert wrapped(packed, "deflate") == content
    assert found
    stored = b"\x08" + (5).to_bytes(2, "little") + (0xFFFF - 5).to_bytes(2, "little") + b"12345"
    assert wrapped(stored + b"\x01\x00\x00\xff\xff", "deflate") == b"12345"


def test_a_connection_is_open_from_its_first_request_to_its_end():
    """As far as the client knows."""
    with serving(answering(OK, then_close=False)) as url:
        connection = connection_to(url)
        states = [connection.is_open]
        connection.exchange(Request("GET", "/"), Timing())
        states.append(connection.is_open)
        connection.close()
        states.append(connection.is_open)
    assert states == [False, True, False]


def test_a_head_without_its_end_is_refused():
    """The caller always passes a complete one; errors in those are worded by httptools."""
    with pytest.raises(MalformedAnswerError, match=r"^not HTTP: [A-Z]"):
        read_head(HEAD + b"A\r\n\r\n")
    with pytest.raises(MalformedAnswerError, match=r"^not HTTP: an incomplete head$"):
        read_head(HEAD)


def test_codings_have_their_short_names():
    """In order, without those that change nothing."""
    assert codings_of("x-gzip, \tBR , identity,") == ("gzip", "br")
    assert unreadable_codings("gzip, zstd, dcb;q=0, odd") == ["zstd"]
    known = ["aes128gcm", "compress", "dcb", "dcz", "exi", "pack200-gzip", "zstd"]
    assert unreadable_codings(", ".join(known)) == known
    assert bodies.READABLE_CODINGS == "gzip, deflate, br"


@pytest.mark.parametrize(
    ("has_received", "after_s", "connect_s", "has_crossed"),
    [
        (False, 1.9, 1.0, True),
        (False, 2.1, 1.0, False),
        (False, 0.004, 0.0, True),
        (False, 0.05, 0.0, False),
        (True, 0.0, 1.0, False),
    ],
)
def test_a_close_has_crossed_only_if_the_server_had_no_time_to_work(has_received, after_s, connect_s, has_crossed):
    """Within twice the time that connecting took, at least 5 ms, and never once anything was received."""
    connection = connection_to("http://127.0.0.1:1")
    connection._has_received, connection._connect_s = has_received, connect_s
    timing = Timing()
    timing.sent_s = time.monotonic() - after_s
    assert Connection._has_crossed(connection, timing) is has_crossed


@pytest.mark.parametrize(
    ("method", "repeatable", "may_be"),
    [
        *((method, None, True) for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE")),
        ("POST", None, False),
        ("PATCH", None, False),
        ("POST", True, True),
        ("GET", False, False),
    ],
)
def test_the_method_or_the_request_decides_whether_it_may_be_repeated(method, repeatable, may_be):
    """RFC 9110, section 9.2.2."""
    assert Request(method, "/", repeatable=repeatable).may_be_repeated is may_be


@pytest.mark.parametrize(
    ("of", "lacking"), [("ports", "free port"), ("files", "file left to open"), ("memory", "memory")]
)
def test_a_want_error_says_what_was_lacking(of, lacking):
    """With the system's reason."""
    error = WantError(of, "EMFILE")
    assert (error.of, str(error)) == (of, f"the generator's own: no {lacking} (EMFILE)")


def test_json_is_parsed_once():
    """Asking again gives the same object."""
    answer = answers.Answer(200, {}, b'{"a": [1]}')
    assert answer.json is answer.json
    assert (answer.json, answer.size, answer.unread) == ({"a": [1]}, 10, None)
