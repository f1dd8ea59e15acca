"""The user in docs/write-a-user.md against a shop: each request by name, and the group that they form."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import yaml

from tests.commands import ROOT, in_process, only_run, verdict_of
from tests.end_to_end.shop import running_shop

pytestmark = pytest.mark.process

PAGE = (ROOT / "docs/write-a-user.md").read_text(encoding="utf-8")
USER, ONCE, SCENARIO, CUSTOMERS, _, TARGET, _ = re.findall(r"^```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
SCENARIO = re.sub(r"(deadline: |< )[\d.]+ m?s", r"\g<1>9 s", SCENARIO)
"""With longer deadlines, for a busy machine."""
NAMES = ("login", "products", "cart", "pay", "confirm")


@pytest.fixture
def suite(tmp_path):
    """The page's files, and a function that runs a command on them."""
    (tmp_path / "users").mkdir()
    (tmp_path / "users/shopper.py").write_text(USER)
    (tmp_path / "users/customers.csv").write_text(CUSTOMERS)

    def command(name: str, shop, *more: str, **changes):
        (tmp_path / "shop.yaml").write_text(yaml.safe_dump(yaml.safe_load(SCENARIO) | changes))
        (tmp_path / "target.yaml").write_text(TARGET.replace("127.0.0.1:9000", f"127.0.0.1:{shop.server_port}"))
        files = [tmp_path / "shop.yaml", "--target", tmp_path / "target.yaml", "--locustfiles", tmp_path / "users"]
        return in_process(name, *files, *more)

    return command


def test_the_user_is_short():
    """A journey of five named requests takes few lines."""
    lines = USER.partition("class ")[2].strip().splitlines()
    assert len(lines) <= 30


@pytest.mark.long
def test_a_dry_run_shows_each_request_of_the_journey(suite):
    """By name, with the answer."""
    with running_shop() as shop:
        done = suite("check", shop, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^ok +(\w+) ", done.stdout, re.MULTILINE) == list(NAMES)
    assert shop.served == Counter(NAMES)


@pytest.mark.long
def test_a_user_that_logs_in_once_has_its_token_in_each_journey(suite, tmp_path):
    """The page's user with the page's on_start; its login needs no name."""
    in_each = re.compile(r"        login = .*?            return\n", re.DOTALL)
    text = in_each.sub("", USER, count=1).replace("    @task\n", f"{ONCE}\n    @task\n")
    mix = {"shopper": {"share": "100 %", "every": "2 s", "requests": list(NAMES[1:])}}
    with running_shop() as shop:
        (tmp_path / "users/shopper.py").write_text(text)
        done = suite("check", shop, "--dry-run", mix=mix, thresholds=[{"expect": "goodput_ratio >= 95 %"}])
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^ok +(\w+) ", done.stdout, re.MULTILINE) == ["shopper", *NAMES[1:]]
    assert shop.served == Counter(NAMES)


@pytest.mark.long
def test_thresholds_of_requests_and_of_their_group_are_judged(suite, tmp_path):
    """The report shows what the shop served; probes and dry runs don't count."""
    with running_shop() as shop:
        suite("run", shop, "--out", tmp_path / "reports")
    verdict = verdict_of(only_run(tmp_path / "reports"))
    assert {threshold["word"] for threshold in verdict["thresholds"]} == {"PASS"}
    sent = {row["endpoint"]: row["sent"] + row["abandoned"] for row in verdict["summary"] if row["endpoint"]}
    probes = shop.served["products"] - sent["products"]
    assert 0 <= probes <= 2
    assert sent == {name: shop.served[name] - (probes if name == "products" else 0) for name in NAMES}
    (group,) = verdict["groups"]
    assert group["outcomes"]["ok"] == sent["confirm"]
    assert shop.tokens == {"ada", "grace", "o'neil, mary"}


@pytest.mark.long
def test_a_request_that_fails_fails_its_group_and_nothing_before_it(suite, tmp_path):
    """Every third payment fails: logins and carts are unaffected."""
    thresholds = [
        {"endpoint": "pay", "expect": "goodput_ratio >= 95 %"},
        {"endpoint": "checkout", "expect": "goodput_ratio >= 95 %"},
        {"endpoint": ["login", "products", "cart"], "expect": "goodput_ratio >= 95 %"},
        {"endpoint": "confirm", "expect": "goodput_ratio >= 95 %"},
    ]
    with running_shop(breaks=3) as shop:
        suite("run", shop, "--out", tmp_path / "reports", mix=faster(), thresholds=thresholds)
    verdict = verdict_of(only_run(tmp_path / "reports"))
    assert [threshold["word"] for threshold in verdict["thresholds"]] == ["FAIL", "FAIL", "PASS", "PASS"]
    (group,) = verdict["groups"]
    assert group["outcomes"]["server_error"] == shop.served["pay"] // 3


def faster() -> dict:
    return {"shopper": {"share": "100 %", "every": "800 ms", "requests": list(NAMES)}}


@pytest.mark.long
def test_in_the_open_model_an_arrival_is_a_journey(suite, tmp_path):
    """Each arrival makes five requests."""
    mix = {"shopper": {"share": "100 %", "requests": list(NAMES)}}
    phases = [{"name": "steady", "duration": "6 s", "rate": "20 rps"}]
    with running_shop() as shop:
        suite("run", shop, "--out", tmp_path / "reports", model="open", client_count=40, mix=mix, phases=phases)
    verdict = verdict_of(only_run(tmp_path / "reports"))
    assert {threshold["word"] for threshold in verdict["thresholds"]} == {"PASS"}
    assert {row["endpoint"]: row["sent"] for row in verdict["summary"] if row["endpoint"]} == dict.fromkeys(NAMES, 120)
    (group,) = verdict["groups"]
    assert group["sent"] == 120


def test_a_scenario_without_all_request_names_is_told_what_to_add(suite):
    """Before anything is sent."""
    mix = {"shopper": {"share": "100 %", "every": "2 s", "requests": ["login", "cart", "pay", "confirm"]}}
    with running_shop() as shop:
        done = suite("check", shop, mix=mix)
    assert done.returncode == 2
    assert "add `requests: [login, cart, pay, confirm, products]` to mix.shopper" in " ".join(done.stderr.split())
    assert not shop.served


@pytest.mark.parametrize(
    ("feeder", "told"),
    [
        pytest.param({"file": "nobody.csv"}, "nobody.csv: can't be read", marks=pytest.mark.long),
        pytest.param(
            {"file": "customers.csv", "order": "unique"},
            "feeders.customers: too few rows for 20 clients that need one each",
            marks=pytest.mark.long,
        ),
        pytest.param(
            {"file": "customers.csv", "at_end": "stop"},
            "feeders.customers: too few rows for 120 turns",
            marks=pytest.mark.long,
        ),
        pytest.param(
            {"file": "customers.csv", "order": "random", "at_end": "stop"},
            "no effect with `order: random`",
            marks=pytest.mark.long,
        ),
        (None, "shopper.py: takes rows of a feeder that the scenario doesn't have, got 'customers'"),
    ],
)
def test_an_unusable_feeder_is_reported_before_anything_is_sent(suite, feeder, told):
    """Each problem in one line, with the remedy."""
    with running_shop() as shop:
        done = suite("check", shop, feeders={"customers": feeder} if feeder else {})
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    assert not shop.served
