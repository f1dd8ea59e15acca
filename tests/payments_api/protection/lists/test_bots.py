"""The bot check: whom the default rules refuse, and the syntax of rules."""

from __future__ import annotations

import pytest

from payments_api.protection.lists.bots import RULES_FILE, parse_rules

RULES = parse_rules(RULES_FILE.read_text())


@pytest.mark.parametrize(
    ("user_agent", "on", "strict"),
    [
        (b"Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", False, False),
        (b"loadproof/0.1.0", False, False),
        (b"loadproof/0.1.0 python-requests/2.32", False, False),
        (b"OurShop/3.1 (iOS)", False, False),
        (b"Prometheus/3.1.0", False, False),
        (b"python-requests/2.32.3", False, True),
        (b"curl/8.5.0", False, True),
        (b"Go-http-client/1.1", False, True),
        (None, False, True),
        (b"", False, True),
        (b"   ", False, True),
        (b"sqlmap/1.8", True, True),
        (b"SQLMAP/1.8", True, True),
        (b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", True, True),
        (b"Mozilla/5.0 HeadlessChrome/129.0", True, True),
        (b"\xff\xfe nikto \x80", True, True),
        (b"x" * 100_000 + b"sqlmap", False, False),
    ],
)
def test_the_default_rules(user_agent, on, strict):
    """People, customers' programs and our own pass; scanners and crawlers don't."""
    assert RULES.refuses(user_agent, is_strict=False) is on
    assert RULES.refuses(user_agent, is_strict=True) is strict


def test_allow_beats_deny_beats_strict_in_any_order():
    """So a rule's position in the file doesn't matter."""
    rules = parse_rules("strict evil\ndeny evil bot\nallow evil bot of ours\ndeny (none)")
    assert [rules.refuses(text, is_strict=False) for text in (b"evil", b"evil bot", b"evil bot of ours", None)] == [
        *(False, True, False, True)
    ]
    assert rules.refuses(b"evil", is_strict=True)


def test_rules_are_literal_texts():
    """A dot is a dot."""
    assert not parse_rules("deny a.c").refuses(b"abc", is_strict=True)


def test_a_rule_may_have_a_comment():
    """As in lists of networks; if it were part of the name, the rule would refuse nobody."""
    rules = parse_rules("deny curl/ # ours are newer\n  # no rule\ndeny\twget\ndeny C#bot\n")
    assert len(rules) == 3
    assert all(rules.refuses(text, is_strict=False) for text in (b"curl/8.5.0", b"Wget/1.25", b"C#bot/1"))


def test_an_empty_file_refuses_nobody():
    """It is valid."""
    rules = parse_rules("# nothing\n\n")
    assert len(rules) == 0
    assert not any(rules.refuses(text, is_strict=True) for text in (None, b"", b"sqlmap"))


def test_invalid_rules_are_reported_with_their_lines():
    """Both action and text are needed."""
    with pytest.raises(ValueError, match=r"line 2: got 'forbid x'; .*line 3: got 'deny'"):
        parse_rules("deny y\nforbid x\ndeny")
