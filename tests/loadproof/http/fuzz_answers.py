"""Coverage-guided fuzzing of the answer parser: `make fuzz`. What it finds becomes a case in test_answers.py.

Any bytes in any pieces give an answer, a need for more, or MalformedAnswerError; the same however they are split.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["loadproof.http.chunked", "loadproof.http.head", "loadproof.http.answers"]):
    from loadproof.http.answers import AnswerParser
    from loadproof.http.head import MalformedAnswerError

SEEDS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 304 X\r\nConnection: keep-alive\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
]


def outcome(pieces: list[bytes], *, is_head: bool) -> tuple[object, ...]:
    """How an answer ends that arrives in these pieces before the connection ends."""
    parser = AnswerParser()
    parser.begin(is_head=is_head, accepted=None)
    try:
        for piece in pieces:
            if piece and (answer := parser.feed(piece)):
                break
        else:
            answer = parser.end()
    except MalformedAnswerError:
        return ("malformed",)
    try:
        body: bytes | str = answer.body
    except ValueError:
        body = "not packed as told"
    return answer.status, dict(answer.headers), body


def look(fuzzed: bytes) -> None:
    if len(fuzzed) < 4:
        return
    is_head, first, second, raw = bool(fuzzed[0] & 1), fuzzed[1], fuzzed[2], fuzzed[3:]
    whole = outcome([raw], is_head=is_head)
    cuts = sorted((first % (len(raw) + 1), second % (len(raw) + 1)))
    pieces = [raw[: cuts[0]], raw[cuts[0] : cuts[1]], raw[cuts[1] :]]
    assert outcome(pieces, is_head=is_head) == whole, (raw, cuts)
    if len(raw) < 200:
        assert outcome([bytes([byte]) for byte in raw], is_head=is_head) == whole, raw


if __name__ == "__main__":
    for seed in SEEDS:
        look(b"\x00\x05\x20" + seed)
    atheris.Setup(sys.argv, look)
    atheris.Fuzz()
