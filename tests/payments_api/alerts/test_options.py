"""Settings of alerts: valid, invalid and contradicting ones, and secrets that are never shown."""

from __future__ import annotations

import pytest

from drills.faketelegram import CHAT, TOKEN
from loadproof.run.target import embedded
from payments_api.alerts.options import ALERT_VARIABLES, AlertOptions
from payments_api.settings import SettingsError, read_settings

DSN = "https://0123456789abcdef@o1.ingest.sentry.io/42"


def wrong(**environment: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        read_settings(environment)
    return str(raised.value).splitlines()


def test_nothing_is_sent_by_default():
    assert read_settings({}).alerts == AlertOptions(sentry=None, telegram=None)


def test_all_options_can_be_set():
    alerts = read_settings(
        {
            "SENTRY_DSN": DSN,
            "SENTRY_RELEASE": "payments@1.4.2",
            "TELEGRAM_ALERT_TOKEN": TOKEN,
            "TELEGRAM_ALERT_CHAT": CHAT,
            "TELEGRAM_API_URL": "http://127.0.0.1:8081/x",
            "ALERT_WINDOW": "2",
        }
    ).alerts
    assert (alerts.sentry.dsn, alerts.sentry.environment, alerts.sentry.release) == (
        DSN,
        "production",
        "payments@1.4.2",
    )
    assert (alerts.telegram.token, alerts.telegram.chat) == (TOKEN, CHAT)
    assert alerts.telegram.base_url == "http://127.0.0.1:8081/x"
    assert alerts.window_s == 2.0
    assert TOKEN not in repr(alerts)
    assert DSN not in repr(alerts)


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {"TELEGRAM_ALERT_TOKEN": TOKEN},
            "TELEGRAM_ALERT_CHAT: got nothing; TELEGRAM_ALERT_TOKEN needs it: set both, or none",
        ),
        (
            {"TELEGRAM_ALERT_CHAT": CHAT},
            "TELEGRAM_ALERT_TOKEN: got nothing; TELEGRAM_ALERT_CHAT needs it: set both, or none",
        ),
        (
            {"TELEGRAM_API_URL": "http://[::1]"},
            "TELEGRAM_API_URL: got 'http://[::1]'; nothing is sent there: set TELEGRAM_ALERT_TOKEN, or leave this out",
        ),
    ],
)
def test_contradicting_options_are_refused(environment, line):
    assert wrong(**environment) == [line]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENTRY_DSN", "sentry.io/42"),
        ("SENTRY_DSN", "https://sentry.io/42"),
        ("SENTRY_DSN", "https://key@sentry.io/project"),
        ("SENTRY_DSN", "https://key@[::1/42"),
        ("SENTRY_DSN", "https://key@sentry..io/42"),
        ("SENTRY_DSN", "https://key@sentry.io/42?x=1"),
        ("SENTRY_RELEASE", "a b"),
        ("TELEGRAM_ALERT_TOKEN", "bot" + TOKEN),
        ("TELEGRAM_ALERT_TOKEN", TOKEN + "/../x"),
        ("TELEGRAM_ALERT_CHAT", "somebody"),
        ("TELEGRAM_API_URL", "api.telegram.org"),
        ("TELEGRAM_API_URL", "https://a:b@api.telegram.org"),
        ("TELEGRAM_API_URL", "https://api.telegram.org/\r\nx"),
        ("ALERT_ERROR_RATIO", "5 %"),
        ("ALERT_ERROR_RATIO", "1.1"),
        ("ALERT_WINDOW", "0"),
        ("ALERT_DISK_FREE", "-1"),
        ("ALERT_STALL", "nan"),
    ],
)
def test_an_invalid_value_is_reported_in_one_line_without_secrets(name, value):
    (line,) = wrong(**{name: value})
    assert line.startswith(f"{name}: got ")
    if name in {"SENTRY_DSN", "TELEGRAM_ALERT_TOKEN"}:
        assert line.startswith(f"{name}: got a secret; ")
        assert value not in line


def test_all_errors_are_reported_at_once():
    assert len(wrong(PORT="x", ALERT_WINDOW="x", SENTRY_DSN="x", WORKERS="0")) == 4


def test_an_embedded_target_inherits_no_alert_settings():
    """Those in our environment are meant for other programs."""
    assert set(ALERT_VARIABLES) <= embedded.NOT_INHERITED
