"""Bodies are decoded if possible; if not, the error says whose fault it is."""

from __future__ import annotations

import gzip
import time
import zlib
from contextlib import suppress

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.http.bodies import (
    MAX_BODY_BYTES,
    UnreadBodyError,
    Wrapping,
    WrongBodyError,
    codings_of,
    unreadable_codings,
    unwrapped,
)

TEXT = b'{"a": 1}' * 20
RAW_DEFLATED = zlib.compress(TEXT)[2:-4]
PACKED = {
    "identity": TEXT,
    "": TEXT,
    "gzip": gzip.compress(TEXT),
    "X-GZIP": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "Deflate ": RAW_DEFLATED,
    "br": brotli.compress(TEXT),
    "identity, gzip": gzip.compress(TEXT),
    "gzip, br": brotli.compress(gzip.compress(TEXT)),
    "deflate,gzip": gzip.compress(zlib.compress(TEXT)),
}


def opened(packed: bytes, coding: str, accepted: str | None = None) -> bytes:
    return unwrapped(packed, Wrapping(codings_of(coding), accepted, len(packed)))


@pytest.mark.parametrize(("coding", "packed"), PACKED.items(), ids=PACKED)
def test_content_codings_of_a_body_are_undone(coding, packed):
    """In the reverse order; names are compared without case."""
    assert opened(packed, coding) == TEXT
    assert opened(b"", coding) == b""


@pytest.mark.parametrize("members", [2, 999])
def test_several_gzip_members_are_one_body(members):
    """RFC 1952, section 2.2. What follows the last member is not part of it."""
    packed = gzip.compress(b"hi") * members
    assert opened(packed, "gzip") == b"hi" * members
    assert opened(packed + b"\0\0", "gzip") == b"hi" * members


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_a_truncated_or_malformed_compressed_body_is_wrong(coding):
    """Wherever it is cut."""
    packed = PACKED[coding]
    for wrong in (*(packed[:end] for end in range(1, len(packed))), b"no such thing", b"\x1f\x8b", b"\0"):
        with pytest.raises(WrongBodyError, match="a compressed body"):
            opened(wrong, coding)


def test_a_truncated_second_gzip_member_is_wrong():
    """It is not just left out."""
    with pytest.raises(WrongBodyError, match="cut off"):
        opened(gzip.compress(b"hi") + gzip.compress(b"you")[:-1], "gzip")


BOMB = b"0" * (MAX_BODY_BYTES + 1)


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(BOMB, mtime=0)),
        ("deflate", zlib.compress(BOMB)),
        ("br", brotli.compress(BOMB, quality=1)),
        ("gzip", gzip.compress(b"hi", mtime=0) * 1001),
        ("gzip", gzip.compress(b"", mtime=0) * 300_000),
        (",".join(["gzip"] * 6), gzip.compress(b"hi", mtime=0)),
        ("zstd", b"packed"),
        ("compress", b"packed"),
    ],
    ids=["large", "large-deflate", "large-br", "members", "empty-members", "often-packed", "zstd", "compress"],
)
def test_a_body_beyond_our_limits_is_reported_as_such(coding, packed):
    """And found out quickly."""
    began_s = time.monotonic()
    with pytest.raises(UnreadBodyError, match="is beyond what loadproof reads"):
        opened(packed, coding)
    assert time.monotonic() - began_s < 2


@pytest.mark.slow
@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, brotli.compress])
def test_a_body_of_exactly_the_limit_is_read(pack):
    """One byte less than the limit that makes it a bomb."""
    coding = {gzip.compress: "gzip", zlib.compress: "deflate"}.get(pack, "br")
    assert opened(pack(BOMB[1:]), coding) == BOMB[1:]


@pytest.mark.parametrize(
    ("coding", "accepted", "whose"),
    [
        ("gzip", "gzip", None),
        ("gzip", "GZIP;q=0.5", None),
        ("x-gzip", "gzip", None),
        ("gzip", "*", None),
        ("gzip", "br, *;q=0.1", None),
        ("gzip", "", WrongBodyError),
        ("gzip", "identity", WrongBodyError),
        ("gzip", "gzip;q=0", WrongBodyError),
        ("gzip", "gzip; q=0.000, *", WrongBodyError),
        ("gzip", "*;q=0.0", WrongBodyError),
        ("zstd", "gzip", WrongBodyError),
        ("zstd", "gzip, zstd", UnreadBodyError),
        ("zstd", "*", UnreadBodyError),
        ("own", None, UnreadBodyError),
        ("own", "*", UnreadBodyError),
        ("own", "gzip", WrongBodyError),
        ("own", "own", UnreadBodyError),
    ],
)
def test_a_coding_that_the_request_does_not_allow_is_the_targets_fault(coding, accepted, whose):
    """One that it allows but that we can't decode is our limit (RFC 9110, section 12.5.3)."""
    if whose is None:
        assert opened(gzip.compress(TEXT), coding, accepted) == TEXT
        return
    with pytest.raises(ValueError, match="compressed as") as caught:
        opened(gzip.compress(TEXT), coding, accepted)
    assert caught.type is whose
    assert "own" not in str(caught.value).replace("know", "")


def test_codings_that_a_request_should_not_ask_for_are_known():
    """By HTTP's names, and only if it really asks for them."""
    assert unreadable_codings("gzip, zstd;q=0.5, X-Compress , br, own, *") == ["zstd", "compress"]
    assert unreadable_codings("gzip, zstd;q=0") == []


@given(st.binary(max_size=200), st.text(max_size=20), st.none() | st.text(max_size=30))
def test_any_body_is_decoded_or_refused(body, coding, accepted):
    """Nothing else is ever raised."""
    for name in (coding, "gzip", "deflate", "br", f"deflate, gzip, {coding}"):
        with suppress(WrongBodyError, UnreadBodyError):
            opened(body, name, accepted)
