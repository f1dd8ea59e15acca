"""The command line: with loadproof.judging the only place that sets both halves, engine and analysis, to work."""

from __future__ import annotations

import functools
import importlib
import json
import os
import shlex
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer
from rich.console import Console
from rich.text import Text

from loadproof.cli import judging
from loadproof.cli.planview import plan_sentence, plan_table
from loadproof.errors import ExitCode, InputError, LoadproofError, Problem, escaped
from loadproof.outcome import Outcome
from loadproof.run import dryrun, locust, preflight, runner, webui
from loadproof.run.locust import LISTEN_PORT, CrewOptions
from loadproof.run.progress import Progress
from loadproof.rundir import files as rundir
from loadproof.scenario.safety import check_host
from loadproof.scenario.scenario import Scenario, load_scenario
from loadproof.scenario.targetfile import TargetFile, load_target
from loadproof.units import format_duration

if TYPE_CHECKING:
    from analysis.outputs.gate import Gated

DEFAULT_OUT: Final = Path("reports")

app = typer.Typer(
    help="Load tests on Locust whose answers can be trusted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
console = Console(highlight=False)


FilesArgument = Annotated[list[Path], typer.Argument(help="Scenario files.")]
ScenarioArgument = Annotated[Path, typer.Argument(metavar="SCENARIO", help="Scenario file.")]
TargetOption = Annotated[Path | None, typer.Option(help="Target file; the embedded target if left out.")]
HostsOption = Annotated[list[str] | None, typer.Option(help="Host that may be loaded, besides loopback.")]
SeedOption = Annotated[int, typer.Option(help="Seed of all random choices.")]
OutOption = Annotated[Path, typer.Option(help="Where run directories are made.")]
WorkersOption = Annotated[int, typer.Option(help="Processes that make the load.", min=1, max=1000)]
BaselineOption = Annotated[
    Path | None, typer.Option(metavar="RUN", help="Run directory of the same scenario, to compare with.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Send one request of each kind, show the answers and outcomes, and end.")
]
InconclusiveOption = Annotated[
    Literal["fail", "pass"], typer.Option(help="What INCONCLUSIVE does: exit with 3, or count as green.")
]
AnnotateOption = Annotated[
    Literal["github"] | None, typer.Option(help="Also tell in this CI's own way what did not pass.")
]
SettingsOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Like phases.steady.duration='20 s'.")
]


@app.command()
def check(
    files: FilesArgument,
    target: TargetOption = None,
    seed: SeedOption = 1,
    settings: SettingsOption = None,
    allow_host: HostsOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Check scenarios, and tell what they would do to whom, and which samples each threshold can expect."""
    target_file = _allowed_target(target, allow_host) if dry_run else load_target(target)
    assignments = _assignments(files, target_file, settings, seed)
    if dry_run:
        raise typer.Exit(max(map(_look, assignments)))


@app.command()
def run(
    file: ScenarioArgument,
    target: TargetOption = None,
    allow_host: HostsOption = None,
    seed: SeedOption = 1,
    out: OutOption = DEFAULT_OUT,
    workers: WorkersOption = 1,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Let the workers come from elsewhere, to this address.")
    ] = None,
    wait: Annotated[int, typer.Option(metavar="SECONDS", help="How long to wait for the workers.", min=1)] = 60,
    ui_port: Annotated[
        int | None, typer.Option(help="Show the run in Locust's web UI, on this port of 127.0.0.1.", min=1, max=65535)
    ] = None,
    baseline: BaselineOption = None,
    inconclusive: InconclusiveOption = "fail",
    annotate: AnnotateOption = None,
    settings: SettingsOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Run a scenario, judge it, and write the report. The exit code is the verdict's."""
    stop_signal = runner.StopSignal()
    with stop_signal.installed():
        crew = CrewOptions(workers, _address(listen, "--listen") if listen else None, wait, ui_port)
        assignment = _assignment(file, _allowed_target(target, allow_host), settings, seed, crew)
        before = judging.load_baseline(baseline, assignment.scenario)
        if assignment.target is not None:
            runner.probe(assignment.target)
        if dry_run:
            raise typer.Exit(_look(assignment))
        policy = judging.Policy(inconclusive, annotate)
        code = judging.judge(_run(assignment, out, stop_signal), before, console, policy)
    raise typer.Exit(code)


@app.command()
def gate(
    files: FilesArgument,
    target: TargetOption = None,
    allow_host: HostsOption = None,
    seed: SeedOption = 1,
    out: OutOption = DEFAULT_OUT,
    workers: WorkersOption = 1,
    inconclusive: InconclusiveOption = "fail",
    annotate: AnnotateOption = None,
) -> None:
    """Run several scenarios, one after the other, and sum up. The exit code is the worst verdict's."""
    from analysis.outputs import gate as gates

    stop_signal = runner.StopSignal()
    policy = judging.Policy(inconclusive, annotate)
    with stop_signal.installed():
        target_file = _allowed_target(target, allow_host)
        assignments = _assignments(files, target_file, None, seed, CrewOptions(workers))
        directory = rundir.create_run_directory(out, "gate")
        gated: list[gates.Gated] = []
        for assignment in assignments:
            if not stop_signal:
                gated.append(_gated(assignment, directory, stop_signal))
                gates.write_gate(directory, gated, lenient=policy.is_lenient)
    console.print(gates.gate_table(gated))
    console.print(Text(escaped(f"summary: {directory / rundir.SUMMARY}")))
    policy.tell_ci(gated, directory / rundir.SUMMARY)
    raise typer.Exit(gates.worst_exit_code(gated, lenient=policy.is_lenient))


@app.command()
def report(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="RUN|PREFIX", help="A run directory, or the prefix of the CSVs of anyone's Locust run."),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Instead: a log of requests, a CSV of seconds, name, response_ms, status."),
    ] = None,
    thresholds: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For CSVs: what to expect of them; no verdict if left out.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For CSVs: where to write; beside them if left out.")
    ] = None,
    baseline: BaselineOption = None,
    inconclusive: InconclusiveOption = "fail",
    annotate: AnnotateOption = None,
) -> None:
    """Judge a run directory again and rewrite its verdict and report, or report on CSVs of others."""
    if (source is None) == (log is None):
        raise InputError(Problem("report", "exactly one of RUN, PREFIX and --log is needed", "give one of them"))
    policy = judging.Policy(inconclusive, annotate)
    if source is not None and source.is_dir():
        _refuse_beside(source, thresholds=thresholds, out=out, baseline=baseline)
        before = judging.load_baseline(baseline, rundir.read_manifest(source).scenario)
        code = judging.judge(source, before, console, policy)
    elif baseline is not None:
        raise InputError(Problem("--baseline", "is for run directories", "leave it out, or give a run directory"))
    elif source is not None:
        code = judging.report_on_csvs(source, thresholds, out, console, policy)
    elif log is not None:
        code = judging.report_on_log(log, thresholds, out, console, policy)
    raise typer.Exit(code)


def _refuse_beside(run: Path, *, thresholds: Path | None, out: Path | None, baseline: Path | None) -> None:
    """What doesn't go with a run directory."""
    if thresholds is not None or out is not None:
        what, remedy = "--thresholds and --out are for CSVs", "leave them out, or give a prefix"
        raise InputError(Problem(str(run), what, remedy, got="a directory"))
    if baseline is not None and baseline.resolve() == run.resolve():
        raise InputError(Problem(f"--baseline {baseline}", "the same run", "give an earlier one"))


@app.command()
def worker(
    master: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="Where `loadproof run --listen` waits.")],
    once: Annotated[bool, typer.Option("--once", help="End after one run.")] = False,
) -> None:
    """Make load for runs on another machine, one after the other, until stopped."""
    host, port = _address(master, "master")
    stop_signal = runner.StopSignal()
    with stop_signal.installed():
        code = locust.work_for(host, port, stop_signal=stop_signal, once=once)
    raise typer.Exit(ExitCode.NOTHING_MEASURED if code else ExitCode.PASS)


@app.command()
def ui(
    target: TargetOption = None,
    allow_host: HostsOption = None,
    port: Annotated[int, typer.Option(help="Port of the web UI, on 127.0.0.1.", min=1, max=65535)] = 8089,
) -> None:
    """Serve Locust's web UI on the same users."""
    stop_signal = runner.StopSignal()
    with stop_signal.installed():
        target_file = _allowed_target(target, allow_host)
        console.print(Text(f"Locust's web UI: http://127.0.0.1:{port} (Ctrl-C ends it)"))
        webui.serve(target_file, port=port, stop_signal=stop_signal)


@app.command()
def schema(
    of: Annotated[
        Literal["scenario", "target", "verdict"], typer.Argument(help="Scenarios, target files, or verdict.json.")
    ] = "scenario",
) -> None:
    """Print a JSON schema: for completion in editors, or for what reads verdicts."""
    if of == "verdict":
        from analysis.outputs.verdictschema import verdict_schema

        content = verdict_schema()
    else:
        content = (Scenario if of == "scenario" else TargetFile).model_json_schema()
    sys.stdout.write(json.dumps(content, indent=2) + "\n")


def _allowed_target(path: Path | None, allow_host: list[str] | None) -> TargetFile | None:
    """The target, if it may be loaded; UnsafeTargetError otherwise."""
    target = load_target(path)
    if target is not None:
        check_host(target.base_url, allow_host or [])
    return target


def _assignment(
    file: Path, target: TargetFile | None, settings: list[str] | None, seed: int, crew: CrewOptions | None = None
) -> runner.Assignment:
    """The scenario with its overrides, fit for this target; InputError with all that is wrong."""
    scenario = load_scenario(file, _overrides(settings or []))
    limits = runner.declared_limits(scenario, target)
    crew = crew or CrewOptions()
    problems = list(
        preflight.preflight(
            scenario, where=str(file), seed=seed, limits=limits, target=target, workers=crew.local_workers
        )
    )
    if problems:
        raise InputError(problems)
    return runner.Assignment(
        scenario=scenario,
        scenario_file=file,
        target=target,
        seed=seed,
        command=shlex.join(["loadproof", *sys.argv[1:]]),
        crew=crew,
    )


def _assignments(
    files: list[Path],
    target: TargetFile | None,
    settings: list[str] | None,
    seed: int,
    crew: CrewOptions | None = None,
) -> list[runner.Assignment]:
    """All of the scenarios, and on the terminal what each would do; InputError with all that is wrong in any."""
    problems: list[Problem] = []
    assignments = []
    for file in files:
        try:
            assignment = _assignment(file, target, settings, seed, crew)
        except LoadproofError as error:
            problems += error.problems
        else:
            assignments.append(assignment)
            console.print(Text(plan_sentence(assignment)))
            console.print(plan_table(assignment.scenario))
    if problems:
        raise InputError(problems)
    return assignments


def _run(assignment: runner.Assignment, out: Path, stop_signal: runner.StopSignal) -> Path:
    """Run one scenario into a new run directory."""
    scenario = assignment.scenario
    run_directory = rundir.create_run_directory(out, scenario.name)
    progress = Progress(
        console,
        duration_s=scenario.duration_s,
        thresholds_so_far=functools.partial(judging.judge_so_far, run_directory),
    )
    # What judges loads while the target starts, or its loading would disturb the measurement.
    threading.Thread(target=importlib.import_module, args=["analysis.judge.thresholds"], daemon=True).start()
    with progress:
        runner.run(
            assignment, run_directory, progress, stop_signal, broken=judging.watch_for_abort(run_directory, scenario)
        )
    return run_directory


def _gated(assignment: runner.Assignment, out: Path, stop_signal: runner.StopSignal) -> Gated:
    """Run and judge one scenario of a gate; what keeps it from being measured doesn't keep the others."""
    from analysis.outputs.gate import Gated

    name = assignment.scenario.name
    try:
        if assignment.target is not None:
            runner.probe(assignment.target)
        run, verdict = judging.judged(_run(assignment, out, stop_signal), None, console)
    except LoadproofError as error:
        trouble = "; ".join(map(str, error.problems))
        console.print(Text(trouble))
        return Gated(name, trouble=trouble)
    return Gated(name, run, verdict)


def _look(assignment: runner.Assignment) -> ExitCode:
    """Show one request of each kind and its answer; FAIL when one is not as expected."""
    looks = dryrun.dry_run(assignment)
    for look in looks:
        style = "green" if look.outcome == Outcome.OK else "red"
        status = "no answer" if look.status is None else str(look.status)
        head = f"  {escaped(look.request)} → {status} in {format_duration(look.response_s)}"
        console.print(Text.assemble((f"{look.outcome:12}", style), f"{look.endpoint:14}", head), soft_wrap=True)
        for text in filter(None, (look.reason, look.body)):
            console.print(Text(f"{'':14}{escaped(text)}"), soft_wrap=True)
    return ExitCode.PASS if all(look.outcome == Outcome.OK for look in looks) else ExitCode.FAIL


def _overrides(settings: list[str]) -> dict[str, str]:
    pairs = [setting.partition("=") for setting in settings]
    problems = [
        Problem(f"--set {key}", "no '='", "write --set KEY=VALUE", got=key) for key, equals, _ in pairs if not equals
    ]
    if problems:
        raise InputError(problems)
    return {key: value for key, _, value in pairs}


def _address(text: str, where: str) -> tuple[str, int]:
    """HOST:PORT, or HOST with Locust's own port."""
    host, _, port = text.rpartition(":") if ":" in text else (text, "", str(LISTEN_PORT))
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise InputError(Problem(where, "not an address", f"write HOST:PORT, like 0.0.0.0:{LISTEN_PORT}", got=text))
    return host, int(port)


def main() -> None:
    """Run the program; each expected error is told in one line, and a bug with its traceback."""
    try:
        app()
    except LoadproofError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.NOTHING_MEASURED)
    except Exception:  # noqa: BLE001 - whatever it is, it is ours
        traceback.print_exc()
        sys.exit(ExitCode.BUG)
