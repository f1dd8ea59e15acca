"""Scenarios: what is accepted, and that all errors are reported at once with place and remedy."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import yaml

from loadproof.errors import InputError
from loadproof.scenario.loading import load_scenario
from loadproof.scenario.scenario import Scenario
from simulation.rundirs import scenario
from tests.commands import ROOT, SHIPPED
from tests.profiles import IS_FULL

SCENARIOS = ROOT / "scenarios"


def written(tmp_path: Path, **changes: object) -> Path:
    content = yaml.safe_load((SCENARIOS / "load-100.yaml").read_text()) | changes
    path = tmp_path / "scenario.yaml"
    kept = {key: value for key, value in content.items() if value is not None}
    path.write_text(yaml.safe_dump(json.loads(json.dumps(kept))))
    return path


def problems_of(path: Path, overrides: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_scenario(path, overrides)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_loads_and_names_its_schema(path):
    """And is named like its file."""
    assert load_scenario(path).name == path.stem
    assert path.read_text().startswith("# yaml-language-server: $schema=scenario.schema.json\n")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_resolved_scenario_reads_back_as_it_was(path):
    """The manifest holds it as JSON."""
    scenario = load_scenario(path)
    assert Scenario.model_validate(json.loads(scenario.model_dump_json())) == scenario


def test_the_default_mix_is_half_balance():
    """Balance 50 %, transactions 20 %, health 20 %, webhooks 10 %."""
    scenario = load_scenario(SCENARIOS / "load-100.yaml")
    assert {name: mix.share for name, mix in scenario.mix.items()} == {
        "balance": 0.5,
        "transactions": 0.2,
        "health": 0.2,
        "webhooks": 0.1,
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"deadline": 1}, "deadline: not understood, got '1'; expected a duration"),
        ({"deadline": "0 s"}, "greater than 0"),
        ({"deadline": None}, "deadline: missing; add it"),
        ({"thresholds": [{"audit": "limit"}]}, "thresholds[0].audit: not accepted, got 'limit'"),
        ({"thresholds": [{"audit": "limits", "expect": "max < 1 s"}]}, "thresholds[0].expect: unknown key"),
        ({"thresholds": [{"audit": "limits"}, {"expect": "p95"}]}, "thresholds[1].expect"),
        ({"thresholds": [{"audit": "limits"}]}, "thresholds: no goodput threshold"),
        (
            {"thresholds": [{"audit": "limits"}, {"expect": "goodput_ratio >= 9 %", "phase": "nowhere"}]},
            "thresholds[1].phase: no such phase",
        ),
        ({"surprise": 1}, "surprise: unknown key"),
        ({"model": "half-open"}, "model: not accepted, got 'half-open'"),
        ({"name": "No Spaces"}, "name: not accepted"),
        ({"clients": "nobody"}, "clients: not accepted"),
        ({"clients": {"header": "X Y"}}, "clients.header"),
        ({"mix": {"health": {"share": "90 %", "every": "1 s"}}}, "mix: the shares don't add up, got '90 %'"),
        ({"mix": {"health": {"share": "100 %"}}}, "mix.health.every: missing in the closed model"),
        ({"mix": []}, "mix: not a mapping"),
        ({"phases": []}, "phases: not accepted"),
        ({"phases": [{"name": "steady", "duration": "5 s"}]}, "phases[0]: no `users` in the closed model"),
        ({"phases": [{"name": "steady", "users": 5}]}, "exactly one of `duration` and `burst`"),
        (
            {"phases": [{"name": "steady", "users": 5, "duration": "5 s", "rate": "5 rps"}]},
            "`rate` in the closed model",
        ),
        ({"phases": [{"name": "steady", "users": 5, "duration": "5 s", "ramp": "6 s"}]}, "ramp doesn't fit"),
        ({"phases": [{"name": "steady", "users": 5, "duration": "5 s", "warm_up": True}]}, "every phase is warm-up"),
        ({"phases": [{"name": "steady", "users": 5, "duration": "5 s"}] * 2}, "an earlier phase has this name"),
        ({"thresholds": [{"expect": "error_ratio < 1 %"}]}, "no goodput threshold"),
        (
            {"thresholds": [{"endpoint": "balance", "expect": "goodput_ratio >= 98 %"}, {"expect": "p(95) < 1 s"}]},
            "transactions, health, webhooks; add `{endpoint: [transactions, health, webhooks], expect: goodput_",
        ),
        (
            {"thresholds": [{"endpoint": ["balance", "health", "webhooks"], "expect": "goodput > 1 rps"}]},
            "no goodput threshold covers transactions; add `{endpoint: transactions, expect: goodput_ratio >= 99 %}`",
        ),
        (
            {"thresholds": [{"expect": "goodput_ratio >= 0.9 * baseline"}]},
            "no goodput threshold; add `expect: goodput_ratio >= 99 %`",
        ),
        ({"thresholds": [{"expect": "goodput_ratio < 1 %"}]}, "an upper limit on a value that should be high"),
        ({"thresholds": [{"expect": "goodput > 1 rps", "endpoint": "ballance"}]}, "did you mean 'balance'?"),
        ({"thresholds": [{"expect": "goodput > 1 rps", "phase": "stedy"}]}, "did you mean 'steady'?"),
        ({"thresholds": [{"expect": "goodput > 1 rps", "phase": "warm-up"}]}, "thresholds never read warm-up"),
        (
            {"http_client": "fasthttp"},
            "http_client: unknown key, got 'http_client'; remove it: loadproof's own client makes all requests",
        ),
        ({"thresholds": [{"expect": "spread < 1 s", "phase": "steady"}]}, "only a phase of bursts has a spread"),
        ({"thresholds": [{"expect": "drift(spread) < 10 %"}]}, "drift needs a metric like"),
        ({"thresholds": [{"expect": "p(95) < 1 s", "outcome": "fine"}]}, "thresholds[0].outcome: not accepted"),
        ({"settings": {"limits": {"health": "often"}}}, "settings.limits.health: not accepted"),
        ({"settings": {"penalties": {}}}, "settings.penalties.base: missing"),
        (
            {"settings": {"penalties": {"base": 10}}},
            "settings.penalties.base: not understood, got '10'; expected a dur",
        ),
        ({"settings": {"penalties": {"base": "0 s"}}}, "settings.penalties.base: not accepted, got '0 s'"),
        ({"settings": {"penalties": {"base": "100 us"}}}, "settings.penalties.base: not accepted, got '100 us'"),
        ({"settings": {"penalties": {"base": "1 s", "cap": "500 ms"}}}, "settings.penalties.cap: not accepted"),
        ({"settings": {"penalties": {"base": "1 s", "memory": "25 h"}}}, "settings.penalties.memory: not accepted"),
        ({"settings": {"penalties": {"base": "1 s", "factor": 0.5}}}, "settings.penalties.factor: not accepted"),
        ({"settings": {"penalties": {"base": "1 s", "max": "1 h"}}}, "settings.penalties.max: unknown key"),
        ({"settings": {"bots": True}}, "settings.bots: not accepted, got 'True'; it should be 'off', 'on' or 'strict'"),
        ({"settings": {"deny": "127.0.0.9"}}, "settings.deny: not accepted"),
        (
            {"settings": {"deny": ["127.0.1.5/24"]}},
            "settings.deny[0]: not a network: it has bits beyond its length, got",
        ),
        ({"settings": {"deny": ["127.0.1.5/24"]}}, "did you mean 127.0.1.0/24?"),
        ({"settings": {"allow": ["::1", "localhost"]}}, "settings.allow[1]: not a network, got 'localhost'; write one"),
        ({"settings": {"processes": 0}}, "settings.processes: not accepted, got '0'"),
        ({"model": "open"}, "client_count: missing in the open model"),
    ],
)
def test_each_mistake_is_reported_with_its_place(tmp_path, changes, message):
    """File, path, what was found, and the remedy."""
    assert any(message in problem for problem in problems_of(written(tmp_path, **changes)))


def test_several_goodput_thresholds_may_cover_the_endpoints(tmp_path):
    """In any phases."""
    thresholds = [
        {"endpoint": ["balance", "health"], "expect": "goodput_ratio >= 90 %", "phase": "steady"},
        {"endpoint": "transactions", "expect": "goodput > 1 rps", "phase": "bursts"},
        {"endpoint": "webhooks", "expect": "goodput_ratio >= 90 % for 10 s", "phase": "steady"},
    ]
    assert load_scenario(written(tmp_path, thresholds=thresholds))


def test_a_burst_needs_the_closed_model(tmp_path):
    """In the open model no user waits for a moment to send."""
    phases = [{"name": "steady", "rate": "5 rps", "burst": {"times": 1, "every": "1 s"}}]
    path = written(tmp_path, model="open", client_count=5, phases=phases, thresholds=[{"expect": "goodput > 1 rps"}])
    assert "a burst in the open model" in problems_of(path)[0]


def test_all_mistakes_are_reported_at_once(tmp_path):
    """Three wrong fields, three lines."""
    assert len(problems_of(written(tmp_path, deadline=1, model="x", surprise=2))) == 3


def test_an_unreadable_file_is_reported_in_one_line(tmp_path):
    """Missing, a directory, not UTF-8."""
    assert "No such file" in problems_of(tmp_path / "none.yaml")[0]
    assert "directory" in problems_of(tmp_path)[0]
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"name: \xff")
    assert "not UTF-8 at byte 6" in problems_of(path)[0]


def test_the_command_line_overrides_single_values(tmp_path):
    """By path; a phase by its name or number."""
    overrides = {"phases.steady.duration": "7 s", "phases.0.users": "3", "timeouts.total": "3 s"}
    scenario = load_scenario(written(tmp_path), overrides)
    assert (scenario.phases[1].duration, scenario.phases[0].users, scenario.timeouts.total) == (7.0, 3, 3.0)


@pytest.mark.parametrize("key", ["phases.nowhere.duration", "phases.99.users", "name.first", "phases.0"])
def test_an_override_of_an_unknown_place_is_refused(tmp_path, key):
    """The error has an example of a path."""
    assert "no such place" in problems_of(written(tmp_path), {key: "1"})[0]


def mutated(text: str, chance: random.Random) -> str:
    """One to three small accidents: characters or lines lost, doubled, swapped or replaced."""
    pieces = text.splitlines(keepends=True)
    for _ in range(chance.randint(1, 3)):
        index = chance.randrange(len(pieces))
        line = pieces[index]
        at = chance.randrange(len(line) + 1)
        pieces[index] = chance.choice(
            [
                line[:at] + line[at + 1 :],
                line[:at] + chance.choice("{}[]:,-&*!|>'\"%@`#\t\0 \n9aé\u202e") + line[at:],
                line + line,
                "",
                line[:at] + "\n",
                line.replace("s", chance.choice(["ms", "", "0", "true", "[]"]), 1),
            ]
        )
    return "".join(pieces)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40 if IS_FULL else 1))
def test_mutated_yaml_never_ends_in_a_traceback(tmp_path, seed):
    """Accepted, or refused in printable lines; both happen."""
    chance, path = random.Random(seed), tmp_path / "mutated.yaml"
    texts = [path.read_text() for path in SHIPPED]
    accepted = refused = 0
    for _ in range(250):
        path.write_text(mutated(chance.choice(texts), chance))
        try:
            load_scenario(path)
            accepted += 1
        except InputError as error:
            refused += 1
            assert error.problems
            assert all(str(problem).isprintable() for problem in error.problems)
    assert min(accepted, refused) > 20


@pytest.mark.parametrize("expect", ["drift(p(95)) < 10 %", "recovery <= 10 s"])
@pytest.mark.parametrize("users", ["locustfile: own.py", "mix: {balance: {share: 100 %, every: 1 s}}"])
def test_drift_and_recovery_need_a_single_phase(tmp_path, users, expect):
    """They would be those of the first phase, however much the second one drifted."""
    path = tmp_path / "own.yaml"
    text = f"""
name: own
model: closed
{users}
deadline: 1 s
phases: [{{name: load, duration: 120 s, users: 5}}, {{name: soak, duration: 600 s, users: 5}}]
thresholds: [{{expect: {expect}}}, {{expect: goodput_ratio >= 99 %}}]
"""
    path.write_text(text)
    (problem,) = problems_of(path)
    assert "needs a single phase" in problem
    path.write_text(text.replace(f"{{expect: {expect}", f"{{phase: soak, expect: {expect}"))
    assert load_scenario(path).phases_of(load_scenario(path).thresholds[0]) == ("soak",)


def test_a_locustfiles_requests_are_in_the_order_of_their_names():
    """Whichever was sent first: tables and rows of a comparison are the same in every run."""
    own = scenario(locustfile="own.py", thresholds=[{"endpoint": "/b", "expect": "goodput_ratio >= 99 %"}])
    sent = ["POST /b", "GET /c", "PUT /a", "GET /b"]
    for known in (own.with_requests(sent), own.with_requests(reversed(sent))):
        assert list(known.endpoints) == ["PUT /a", "GET /b", "POST /b", "GET /c"]
        assert list(known.endpoints_of(known.thresholds[0])) == ["GET /b", "POST /b"]
