"""`loadproof check`: what scenarios would send, or all their problems."""

from __future__ import annotations

import re

import pytest

from tests.commands import ROOT, in_process, scenario_file
from tests.loadproof.cli.refusals import refused

# In one process, so that the inspection of the locustfiles, which takes a second, is shared.


@pytest.mark.slow
def test_check_shows_what_a_scenario_would_send():
    """Model, clients, requests, and the samples of each threshold."""
    done = in_process("check", "scenarios/load-100.yaml", "scenarios/spike-1000.yaml")
    assert done.returncode == 0
    assert "3,036 tasks of one or more requests in 85 s to the reference API" in done.stdout
    assert "from 1,200 clients" in done.stdout
    assert "transactions + webhooks · steady" in done.stdout


@pytest.mark.long
@pytest.mark.slow
def test_the_translated_k6_script_is_a_valid_scenario(tmp_path):
    """The user and the plan in docs/from-locust-and-k6.md."""
    page = (ROOT / "docs/from-locust-and-k6.md").read_text(encoding="utf-8").partition("## A k6 script")[2]
    (user,), (plan,) = (
        re.findall(rf"^```{kind}\n(.*?)^```", page, re.DOTALL | re.MULTILINE) for kind in ("python", "yaml")
    )
    (tmp_path / "users").mkdir()
    (tmp_path / "users/items.py").write_text(user)
    (tmp_path / "items.yaml").write_text(plan)
    options = ("--locustfiles", tmp_path / "users")
    done = in_process("check", tmp_path / "items.yaml", *options, TARGET_URL="https://staging.example.com")
    assert done.returncode == 0, done.stderr
    assert "3,000 tasks" in done.stdout


@pytest.mark.slow
def test_check_reports_the_problems_of_all_files_at_once(tmp_path):
    """Including problems of the plan: exceeded limits, undecidable thresholds, unknown users."""
    greedy = scenario_file(tmp_path, settings={"limiter": "local"})
    (tmp_path / "other").mkdir()
    hasty = scenario_file(
        tmp_path / "other",
        mix={"refunds": {"share": "100 %", "every": "1 s"}},
        thresholds=[{"expect": "p(99.9) < 1 s"}, {"expect": "goodput_ratio >= 50 %"}],
    )
    text = refused("check", greedy, hasty, "nowhere.yaml")
    assert "a client would exceed the declared limit of 10/min" in text
    assert "mix.refunds: no such file in locustfiles/" in text
    assert "it needs 10,000 samples" in text
    assert "nowhere.yaml: can't be read" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "identity"),
    [
        ("127.0.0.1", "clients by source-address"),
        ("localhost", "clients by source-address"),
        ("[::1]", "one client as the target sees it"),
        ("staging.example.org", "one client as the target sees it"),
    ],
)
def test_by_default_clients_are_identified_by_what_fits_the_host(host, identity):
    """A note says if all users are one client."""
    done = in_process("check", "scenarios/smoke.yaml", TARGET_URL=f"http://{host}:9")
    assert done.returncode == 0, done.stderr
    assert identity in " ".join(done.stdout.split())
    note = f"note: smoke: all users share one client address ({host.strip('[]')} isn't on IPv4 loopback); "
    assert (note in done.stderr) == identity.startswith("one")


@pytest.mark.long
@pytest.mark.process
def test_a_dry_run_can_be_repeated(shared_target):
    """Its payments and events are new ones, whatever earlier dry runs left at the target."""
    for _ in range(2):
        done = in_process("check", "scenarios/smoke.yaml", "--dry-run", TARGET_URL=shared_target.url)
        assert done.returncode == 0, done.stdout + done.stderr


PAYING_AND_LOOKING = """
from locust import task
from loadproof.users.user import ApiUser

class ShopUser(ApiUser):
    endpoint = "shop"

    @task
    def pay_and_look(self):
        self.send(self.api.ask_health(), lambda reply: None)
        self.send(self.api.read_balance("nobody's"), lambda reply: None)
        self.send(self.api.ask_health(), lambda reply: None)
"""


def dry_run_of(tmp_path, shop: str, url: str):
    """A dry run of ten users of this locustfile, once a second for a minute."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/shop.py").write_text(shop)
    changes = {
        "mix": {"shop": {"share": "100 %", "every": "1 s"}},
        "phases": [{"name": "steady", "duration": "60 s", "users": 10}],
        "thresholds": [{"expect": "goodput_ratio >= 50 %"}],
    }
    file = scenario_file(tmp_path, **changes)
    return in_process("check", file, "--locustfiles", tmp_path / "own", "--dry-run", TARGET_URL=url)


@pytest.mark.long
@pytest.mark.process
def test_a_dry_run_shows_each_request_of_a_task(tmp_path, shared_target):
    """In the order in which they were sent; the plan counts tasks, and says so."""
    done = dry_run_of(tmp_path, PAYING_AND_LOOKING, shared_target.url)
    assert "600 tasks of one or more requests in 60 s" in done.stdout, done.stdout + done.stderr
    seen = [line.split()[:4] for line in done.stdout.splitlines() if " → " in line]
    health = ["ok", "shop", "GET", "/health"]
    assert seen == [health, ["invalid", "shop", "GET", "/balance/nobody%27s"], health]
    assert done.returncode == 1


IDLING = """
from locust import task
from loadproof.users.user import ApiUser

print("a word of the file's own")

class ShopUser(ApiUser):
    endpoint = "shop"

    @task
    def ask(self):
        print("and one of its user's")
        self.send(self.api.ask_health(), lambda reply: None)

    @task
    def think(self):
        pass
"""


BY_ITS_OWN_MEANS = """
from locust import task
from loadproof.users.user import ApiUser

class ShopUser(ApiUser):
    endpoint = "shop"

    def on_start(self):
        self.send(self.api.read_balance("acct-000000"), lambda reply: None)

    @task
    def ask(self):
        self.send(self.api.ask_health(), lambda reply: None)
        self.environment.events.request.fire(
            request_type="SQL", name="lookup", response_time=3, response_length=0, exception=None
        )
"""


@pytest.mark.long
@pytest.mark.process
def test_a_dry_run_shows_set_up_and_requests_not_sent_by_self_send(tmp_path, shared_target):
    """Set-up comes first; the other requests are in no threshold, which is reported."""
    done = dry_run_of(tmp_path, BY_ITS_OWN_MEANS, shared_target.url)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    seen = [line.split(" → ")[0] for line in lines if line.startswith(("ok ", "unrecorded"))]
    assert seen == ["ok shop GET /balance/acct-000000", "ok shop GET /health", "unrecorded lookup SQL lookup"]
    assert lines[-1] == "not sent by `self.send`: no threshold would read it"
    assert done.returncode == 1


@pytest.mark.long
@pytest.mark.process
def test_a_dry_run_lists_a_task_that_sends_nothing_and_fails(tmp_path, shared_target):
    """A plan counts it as a request; and what users print isn't mistaken for requests."""
    done = dry_run_of(tmp_path, IDLING, shared_target.url)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert [line for line in lines if line.startswith("ok ")], done.stdout + done.stderr
    assert lines[-2:] == ["sent nothing shop ShopUser.think", "the task ended without a request"]
    assert done.returncode == 1


@pytest.mark.long
@pytest.mark.process
def test_a_dry_run_shows_the_path_that_was_sent(tmp_path, shared_target):
    """Including the path of the base URL, where nothing answers here."""
    done = dry_run_of(tmp_path, IDLING, f"{shared_target.url}/api/v1")
    assert "GET /api/v1/health → 404" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_check_notes_what_goodput_thresholds_leave_unchecked(tmp_path):
    """Only as a note, because it may be intended."""
    done = in_process("check", scenario_file(tmp_path))
    assert done.returncode == 0
    unread, refusable = (line for line in done.stdout.splitlines() if line.startswith("note: "))
    assert "quick.yaml thresholds: no goodput threshold covers bursts; add `phase: bursts`" in unread
    assert "a target that refuses all of webhooks would still meet its goodput thresholds" in refusable


def test_a_plan_beyond_the_limits_is_valid_if_throttling_is_expected(tmp_path):
    """With `expect_throttling: true`."""
    assert in_process("check", scenario_file(tmp_path, settings={}, expect_throttling=True)).returncode == 0


def test_the_version_is_the_latest_release():
    """In the changelog, with its date."""
    done = in_process("--version")
    latest = re.search(r"^## \[(\d[\d.]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert (done.returncode, done.stdout) == (0, f"loadproof {latest}\n")


def test_a_shipped_scenario_can_be_given_by_name():
    """From any directory."""
    done = in_process("check", "smoke")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("smoke: 45 tasks")


def test_the_number_of_samples_of_another_outcome_is_a_range(tmp_path):
    """It depends on the target; a good one gives none."""
    phases = [{"name": "steady", "duration": "10 s", "rate": "60 rps"}]
    thresholds = [{"expect": "goodput_ratio >= 90 %"}, {"expect": "p(90) < 2 s", "outcome": "timeout"}]
    mix = {"balance": {"share": "100 %"}}
    file = scenario_file(tmp_path, model="open", client_count=20, mix=mix, phases=phases, thresholds=thresholds)
    done = in_process("check", file, "--set", "record=requests")
    assert "; each request has a row in the journal" in done.stdout
    good, timeouts = (line for line in done.stdout.splitlines() if "all endpoints" in line)
    assert " 600 " in good
    assert "0 to 600" in timeouts, done.stdout + done.stderr
    assert "(timeout)" in timeouts


BACKED_UP = {
    "mix": {"transactions": {"share": "100 %", "every": "100 ms"}},
    "phases": [{"name": "steady", "duration": "20 s", "users": 20}],
    "faults": [
        {"fault": "backup", "phase": "steady", "at": "5 s", "lasts": "5 s"},
        {"fault": "command", "phase": "steady", "at": "5 s", "lasts": "5 s", "name": "cut", "undo": "mend"},
    ],
    "thresholds": [{"audit": "backup", "detects": "1 in 100"}, {"expect": "goodput_ratio >= 90 %"}],
}
PROGRAMS = """\
base_url: http://127.0.0.1:9
commands:
  backup: ["true", "{backup}", "${VAULT_KEY}"]
  restore: ["true", "{restored}"]
  serve: ["true", "{port}"]
  cut: ["true"]
  mend: ["true"]
  unused: [no-such-program-at-all]
"""


@pytest.mark.slow
def test_commands_of_a_target_file_need_permission_and_are_shown(tmp_path):
    """So that the user has seen what will run; variables are shown by name, not by value."""
    file, target = scenario_file(tmp_path, **BACKED_UP), tmp_path / "target.yaml"
    target.write_text(PROGRAMS)
    text = refused("check", file, "--target", target, VAULT_KEY="s3cret-of-the-vault")
    assert "faults: runs programs that the target file names on this machine, got 'backup, restore, serve, cut" in text
    assert "then pass --allow-commands" in text
    done = in_process("check", file, "--target", target, "--allow-commands", VAULT_KEY="s3cret-of-the-vault")
    assert done.returncode == 0, done.stderr
    assert "on this machine, it runs\n  backup: true '{backup}' '${VAULT_KEY}'\n" in done.stdout
    assert "unused" not in done.stdout


@pytest.mark.slow
def test_missing_commands_are_refused_together(tmp_path):
    """In the target file, on this machine, in the environment; also with permission."""
    file, target = scenario_file(tmp_path, **BACKED_UP), tmp_path / "target.yaml"
    named = PROGRAMS.replace("  mend:", "  mendd:").replace('restore: ["true", "{restored}"]', 'restored: ["true"]')
    target.write_text(named.replace('cut: ["true"]', "cut: [no-such-program-at-all]"))
    text = refused("check", file, "--target", target, "--allow-commands", VAULT_KEY="")
    assert "faults[1].undo: no such command in the target file's `commands`, got 'mend'; did you mean 'mendd'" in text
    assert "thresholds audit backup: no such command in the target file's `commands`, got 'restore'" in text
    assert "target commands.cut: no such program, got 'no-such-program-at-all'" in text
    assert "target commands.backup: the environment variable VAULT_KEY is not set" in text


def test_the_reference_api_has_its_own_commands_and_no_others(tmp_path):
    """They need no permission."""
    text = refused("check", scenario_file(tmp_path, **BACKED_UP))
    assert "faults[1]: the reference API has no such command, got 'cut'" in text
    assert "faults[0]" not in text
    done = in_process("check", scenario_file(tmp_path, **BACKED_UP | {"faults": BACKED_UP["faults"][:1]}))
    assert done.returncode == 0, done.stderr
