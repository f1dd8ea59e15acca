"""Secrets in texts: ${NAME} replaces them, however a server, a log or JSON has encoded them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadproof.scenario.masking.masking import Masker
from tests.encodings import ENCODINGS

_INCOMPLETE_CHARACTERS = 4
"""Characters of base64 at both ends, which also depend on what is next to the secret."""
SENDABLE = st.text(
    st.one_of(
        st.sampled_from("aZ09-_./+=&<>\"'\\%; \xe9"), st.characters(codec="latin-1", exclude_categories=["Cc", "Cs"])
    ),
    min_size=8,
    max_size=60,
).filter(lambda text: text == text.strip() and "${" not in text)
"""What a header's value can be."""


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
@given(secret=SENDABLE)
@example(secret="0 befor0")
def test_a_secret_is_found_in_every_encoding(secret, encoding):
    """Neither its beginning nor its end is left, and the text around it is kept."""
    text = ENCODINGS[encoding](secret)
    # These occur in no secret: a part of a secret is masked on its own, too.
    before, after = "→" * 8, "←" * 8
    masked = Masker({"TOKEN": secret})(f"{before} {text} {after}")
    assert "${TOKEN}" in masked
    assert text not in masked
    assert (masked[:8], masked[-8:]) == (before, after)
    around = len(f"{before}  {after}") + len(ENCODINGS[encoding](""))
    assert len(masked.replace("${TOKEN}", "")) <= around + _INCOMPLETE_CHARACTERS


@given(st.text(max_size=100))
def test_a_text_without_secrets_is_unchanged(text):
    """With none at all, and with one that isn't in it."""
    assert Masker({})(text) == text
    assert Masker({"EMPTY": "", "SHORT": text[:3], "OTHER": "\x00never in a text\x00"})(text) == text


@given(SENDABLE, st.text("ab&%\\u0;", max_size=80), st.integers(0, 100), st.sampled_from(sorted(ENCODINGS)))
def test_the_beginning_of_a_text_splits_no_secret(secret, before, length, encoding):
    """The masked beginning and the rest make up the whole text; a secret across the cut is in neither."""
    mask = Masker({"TOKEN": secret})
    text = before + ENCODINGS[encoding](secret) + "the end"
    shown, rest = mask.beginning(text, length)
    assert text.endswith(rest)
    assert shown == mask(text)[: len(shown)]


def test_a_basic_credential_is_also_masked_decoded():
    """A server may say whom it refused: user and password, or the password alone."""
    mask = Masker({"BASIC": base64.b64encode(b"alice:p4ss-w0rd").decode()})
    assert mask("denied for alice:p4ss-w0rd") == "denied for ${BASIC}"
    assert mask("alice: wrong password 'p4ss-w0rd'") == "alice: wrong password '${BASIC}'"
    assert Masker({"BASIC": "Basic " + base64.b64encode(b"alice:pw12").decode()})("alice:pw12") == "${BASIC}"


def test_the_parts_of_a_value_are_secret_too():
    """The token after its scheme, each of several cookies, a key without its prefix."""
    mask = Masker(
        {"AUTH": "Bearer t0ken-t0ken", "COOKIES": "id=c00kie-1; key=c00kie-2", "KEY": "whsec_a2V5LWtleS1rZXk="}
    )
    assert mask("bad token t0ken-t0ken, c00kie-2") == "bad token ${AUTH}, ${COOKIES}"
    assert "a2V5LWtleS1rZXk" not in mask("key a2V5LWtleS1rZXk=")
    assert mask("key-key-key") == "${KEY}"


@pytest.mark.parametrize(("value", "text"), [("abc", "abc"), ("ab", "6162"), ("a", "YQ==")])
def test_fewer_than_four_characters_are_not_masked(value, text):
    """They would be found in every text."""
    assert Masker({"SHORT": value})(text) == text
    assert Masker({"SHORT": "abcd"})("ABCD") == "${SHORT}"


class _OwnError(Exception):
    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token

    def __str__(self) -> str:
        return f"own {self.token}"


class _BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_an_error_keeps_its_name_without_the_secret():
    """However its class builds its text; without a secret it stays the same object."""
    mask = Masker({"TOKEN": "t0ken-t0ken"})
    harmless = ValueError("boom")
    assert mask.error(harmless) is harmless
    assert repr(mask.error(RuntimeError("boom t0ken-t0ken"))) == "RuntimeError('boom ${TOKEN}')"
    assert repr(mask.error(_OwnError("t0ken-t0ken"))) == "_OwnError('own ${TOKEN}')"
    assert "t0ken" not in str(mask.error(KeyError("t0ken-t0ken", 7)))
    assert repr(mask.error(_BrokenError())) == '_BrokenError("its text can\'t be shown (RuntimeError)")'


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_token_learnt_later_is_found_in_every_encoding_too(encoding):
    """Even if the same text was masked before."""
    mask, text = Masker({"OTHER": "something-else"}), f"[before] {ENCODINGS[encoding]('c4nary-t0ken/1')} [after]"
    assert mask(text) == text
    mask.learn("c4nary-t0ken/1")
    shown = mask(text)
    assert "${obtained token}" in shown
    assert len(shown.replace("${obtained token}", "")) <= len("[before]  [after]") + len(ENCODINGS[encoding]("")) + 4
    assert mask(f"{text} something-else").endswith("${OTHER}")


@pytest.mark.long
@pytest.mark.slow
def test_thousands_of_tokens_cost_no_more_than_a_few():
    """Each user may have one; the oldest are forgotten, so a day of logins doesn't grow without bound."""
    mask = Masker({})
    for number in range(12_000):
        mask.learn(f"token-{number:05}")
    assert mask("token-11999 token-02000 token-01999") == "${obtained token} ${obtained token} token-01999"
    assert mask.reach >= 10 * len("token-00000")


def test_an_error_that_shows_a_learnt_token_is_masked():
    """Including exceptions from users' code."""
    mask = Masker({})
    error = ValueError("c4nary-t0ken")
    assert mask.error(error) is error
    mask.learn("c4nary-t0ken")
    assert str(mask.error(error)) == "${obtained token}"
