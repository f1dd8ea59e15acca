"""The documented metrics, the alerting rules and the metrics page agree, also with several workers."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from drills.target import running_target
from tests.commands import ROOT

README = (ROOT / "payments_api/README.md").read_text(encoding="utf-8")
RULES = ROOT / "deploy/prometheus/alerts.yml"
ROW = re.compile(r"^\| `(\w+)` \| (counter|gauge|histogram) \|([^|]*)\| [^|]+ \|$", re.MULTILINE)
TABLE = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in ROW.findall(README)}
BEGAN = 'alert_incidents_total{incident="disk-nearly-full"} 1.0'
OF_THE_LIBRARY = {"le", "pid"}


def on_page(page: str) -> dict[str, tuple[str, set[str]]]:
    """Type and labels of each metric, by its name in queries."""
    found = {}
    for family in text_string_to_metric_families(page):
        if family.name.endswith("_created"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - OF_THE_LIBRARY
        # Metrics of things that haven't happened yet have no labels on the page.
        found[name] = (family.type, labels if family.samples else TABLE[name][1])
    return found


@pytest.fixture(scope="module")
def page():
    """The page after a request and with an open incident."""
    with running_target(ALERT_DISK_FREE="1", ALERT_WINDOW="1") as target:
        requests.get(f"{target.url}/balance/acct-000001", timeout=5)
        for _ in range(100):
            text = requests.get(f"{target.url}/metrics", timeout=5).text
            if BEGAN in text:
                return text
            time.sleep(0.1)
    return pytest.fail("the disk was never nearly full")


@pytest.mark.process
def test_the_table_lists_every_metric_on_the_page_with_its_type_and_labels(page):
    assert on_page(page) == TABLE


@pytest.mark.process
def test_an_incident_and_the_channels_are_on_the_page(page):
    assert re.search(r'^alert_incident_open_seconds\{incident="disk-nearly-full"\} ', page, re.MULTILINE)
    assert "alert_incidents_open 1.0" in page
    assert 'alert_channel_enabled{channel="sentry"} 0.0' in page
    assert 'alert_channel_enabled{channel="telegram"} 0.0' in page
    assert 'alert_messages_total{result="sent"} 0.0' in page


@pytest.mark.long
@pytest.mark.process
def test_an_incident_of_two_workers_counts_once_on_either_page():
    with running_target(ALERT_DISK_FREE="1", ALERT_WINDOW="1", WORKERS="2") as target:
        for _ in range(100):
            if BEGAN in requests.get(f"{target.url}/metrics", timeout=5).text:
                break
            time.sleep(0.1)
        # Give the other worker time to notice it, too; new connections reach both.
        time.sleep(1)
        pages = [requests.get(f"{target.url}/metrics", timeout=5).text for _ in range(8)]
    for page in pages:
        assert "alert_incidents_open 1.0" in page
        assert BEGAN in page
        assert page.count("alert_incident_open_seconds{") == 1


RULE = {rule["alert"]: rule for rule in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]}
OF_PROMETHEUS = {"up"}


def asked_for() -> list[tuple[str, str]]:
    """Every metric in the rules, with its label matchers."""
    return [found for rule in RULE.values() for found in re.findall(r"(\w+)\{([^}]*)\}", rule["expr"])]


@pytest.mark.process
def test_every_metric_in_the_rules_is_on_the_page(page):
    """A rule with an unknown metric would silently never fire."""
    names = {name for name, _ in asked_for()} - OF_PROMETHEUS
    assert len(names) >= 3
    assert names <= set(on_page(page))


@pytest.mark.process
def test_the_rules_cover_all_results_of_messages(page):
    """Each result is a problem, except "sent"."""
    there_are = set(re.findall(r'^alert_messages_total\{result="(\w+)"\}', page, re.MULTILINE))
    matched = [re.search(r'result=~?"([\w|]+)"', matchers) for _, matchers in asked_for()]
    wanted = {result for found in matched if found for result in found[1].split("|")}
    assert wanted == there_are - {"sent"}


def test_every_rule_uses_metrics_from_the_table():
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    assert [rule["alert"] for rule in group["rules"]] == [
        *("PaymentsDown", "PaymentsIncident", "PaymentsAlertsNotSent"),
        *("PaymentsAlertsPostponed", "PaymentsBackupOld"),
    ]
    for rule in group["rules"]:
        asked = re.findall(r"(\w+)\{([^}]*)\}", rule["expr"])
        assert asked
        for name, matchers in asked:
            labels = set(re.findall(r"(\w+)=", matchers)) - {"job"}
            assert name == "up" or labels <= TABLE[name][1], rule["expr"]
        assert rule["annotations"]["summary"]


@pytest.mark.process
def test_the_examples_for_your_own_app_run():
    """Every code block that creates an app."""
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    monitoring = [block for block in blocks if "FastAPI(" in block and "payments_api.alerts" in block]
    assert len(monitoring) == 2
    for block in monitoring:
        subprocess.run([sys.executable, "-W", "error", "-c", block], cwd=ROOT, check=True, timeout=60)
