"""The command line: the only place that sets both halves, engine and analysis, to work."""

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

from loadproof import dryrun, generator, preflight, rundir, runner, webui
from loadproof.errors import ExitCode, InputError, LoadproofError, Problem, escaped
from loadproof.generator import LISTEN_PORT, CrewOptions
from loadproof.outcome import Outcome
from loadproof.plan import plan_phases
from loadproof.planview import plan_sentence, plan_table
from loadproof.progress import Progress
from loadproof.safety import check_host
from loadproof.scenario import Scenario, load_scenario
from loadproof.targetfile import TargetFile, load_target
from loadproof.units import format_duration

if TYPE_CHECKING:
    from analysis.frames import Run
    from analysis.gate import Gated
    from analysis.verdict import Verdict

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
    settings: SettingsOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Run a scenario, judge it, and write the report. The exit code is the verdict's."""
    stop_signal = runner.StopSignal()
    with stop_signal.installed():
        crew = CrewOptions(workers, _address(listen, "--listen") if listen else None, wait, ui_port)
        assignment = _assignment(file, _allowed_target(target, allow_host), settings, seed, crew)
        before = _baseline(baseline, assignment.scenario)
        if assignment.target is not None:
            runner.probe(assignment.target)
        if dry_run:
            raise typer.Exit(_look(assignment))
        code = _judge(_run(assignment, out, stop_signal), before)
    raise typer.Exit(code)


@app.command()
def gate(
    files: FilesArgument,
    target: TargetOption = None,
    allow_host: HostsOption = None,
    seed: SeedOption = 1,
    out: OutOption = DEFAULT_OUT,
    workers: WorkersOption = 1,
    inconclusive: Annotated[
        Literal["fail", "pass"], typer.Option(help="What INCONCLUSIVE does: exit with 3, or count as green.")
    ] = "fail",
    annotate: Annotated[
        Literal["github"] | None, typer.Option(help="Also tell in this CI's own way what did not pass.")
    ] = None,
) -> None:
    """Run several scenarios, one after the other, and sum up. The exit code is the worst verdict's."""
    from analysis import gate as gates

    stop_signal = runner.StopSignal()
    lenient = inconclusive == "pass"
    with stop_signal.installed():
        target_file = _allowed_target(target, allow_host)
        assignments = _assignments(files, target_file, None, seed, CrewOptions(workers))
        directory = rundir.create_run_directory(out, "gate")
        gated: list[gates.Gated] = []
        for assignment in assignments:
            if not stop_signal:
                gated.append(_gated(assignment, directory, stop_signal))
                gates.write_gate(directory, gated, lenient=lenient)
    console.print(gates.gate_table(gated))
    console.print(Text(escaped(f"summary: {directory / rundir.SUMMARY}")))
    if annotate == "github":
        for command in gates.github_annotations(gated, lenient=lenient):
            sys.stdout.write(f"{command}\n")
        _add_step_summary(directory / rundir.SUMMARY)
    raise typer.Exit(gates.worst_exit_code(gated, lenient=lenient))


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
) -> None:
    """Judge a run directory again and rewrite its verdict and report, or report on CSVs of others."""
    if (source is None) == (log is None):
        raise InputError(Problem("report", "exactly one of RUN, PREFIX and --log is needed", "give one of them"))
    if log is not None:
        code = _report_on_log(log, thresholds, out)
    elif source is not None and not source.is_dir():
        code = _report_on_csvs(source, thresholds, out)
    elif thresholds is not None or out is not None:
        what, remedy = "--thresholds and --out are for CSVs", "leave them out, or give a prefix"
        raise InputError(Problem(str(source), what, remedy, got="a directory"))
    elif source is not None:
        code = _judge(source, _baseline(baseline, rundir.read_manifest(source).scenario))
    raise typer.Exit(code)


@app.command()
def worker(
    master: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="Where `loadproof run --listen` waits.")],
    once: Annotated[bool, typer.Option("--once", help="End after one run.")] = False,
) -> None:
    """Make load for runs on another machine, one after the other, until stopped."""
    host, port = _address(master, "master")
    stop_signal = runner.StopSignal()
    with stop_signal.installed():
        code = generator.work_for(host, port, stop_signal=stop_signal, once=once)
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
        from analysis.verdictschema import verdict_schema

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
        thresholds_so_far=functools.partial(_judge_so_far, run_directory),
    )
    # What judges loads while the target starts, or its loading would disturb the measurement.
    threading.Thread(target=importlib.import_module, args=["analysis.thresholds"], daemon=True).start()
    with progress:
        runner.run(assignment, run_directory, progress, stop_signal, broken=_broken_by(run_directory, scenario))
    return run_directory


def _broken_by(run_directory: Path, scenario: Scenario) -> runner.Broken:
    """What ends the run early: a threshold with `abort: true`."""
    if not any(threshold.abort for threshold in scenario.thresholds):
        return lambda _: None
    from analysis.abort import AbortWatch

    return AbortWatch(run_directory, scenario, plan_phases(scenario)).broken


def _gated(assignment: runner.Assignment, out: Path, stop_signal: runner.StopSignal) -> Gated:
    """Run and judge one scenario of a gate; what keeps it from being measured doesn't keep the others."""
    from analysis.gate import Gated

    name = assignment.scenario.name
    try:
        if assignment.target is not None:
            runner.probe(assignment.target)
        run, verdict = _judged(_run(assignment, out, stop_signal))
    except LoadproofError as error:
        trouble = "; ".join(map(str, error.problems))
        console.print(Text(trouble))
        return Gated(name, trouble=trouble)
    return Gated(name, run, verdict)


def _add_step_summary(summary: Path) -> None:
    """What GitHub shows on the page of a workflow's run."""
    shown = os.environ.get("GITHUB_STEP_SUMMARY")
    if shown:
        with Path(shown).open("a", encoding="utf-8") as file:
            file.write(summary.read_text(encoding="utf-8"))


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


def _judge_so_far(run_directory: Path) -> str:
    """A word on the thresholds while the run goes on: '4 pass, 1 fails, 3 open'."""
    from analysis.frames import load_run
    from analysis.judgement import Word
    from analysis.thresholds import judge

    loaded = load_run(run_directory)
    words = [judge(threshold, loaded).word for threshold in loaded.manifest.scenario.thresholds]
    counts = {"pass": words.count(Word.PASS), "fail": words.count(Word.FAIL)}
    counts["open"] = len(words) - sum(counts.values())
    return "thresholds so far: " + ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def _baseline(path: Path | None, scenario: Scenario) -> Run | None:
    """Read before a run, not after it: a wrong one must not cost it its verdict."""
    if path is None:
        return None
    from analysis.baseline import load_baseline

    return load_baseline(path, scenario)


def _judge(run_directory: Path, baseline: Run | None = None) -> int:
    """Verdict and report of a run directory; the exit code."""
    from analysis.verdict import exit_code

    run, verdict = _judged(run_directory, baseline)
    return exit_code(verdict, run.manifest)


def _judged(run_directory: Path, baseline: Run | None = None) -> tuple[Run, Verdict]:
    """Judge a run directory, write what the analysis adds to it, and show it."""
    # Pandas and matplotlib load while nothing is measured.
    from analysis import outputs
    from analysis.frames import load_run
    from analysis.report import write_report
    from analysis.verdict import decide

    run = load_run(run_directory)
    verdict = decide(run, baseline)
    outputs.write_outputs(run, verdict, baseline)
    write_report(run, verdict, baseline)
    console.print(outputs.terminal_view(verdict))
    console.print(Text(f"report: {run_directory / 'report.html'}"))
    return run, verdict


def _report_on_csvs(path: Path, thresholds: Path | None, out: Path | None) -> int:
    """Report, and with thresholds a verdict, on the CSVs of a prefix; the exit code."""
    from analysis import locustoutputs, locustthresholds
    from analysis.locustcsv import load_locust_run, prefix_of
    from analysis.locustreport import write_report
    from analysis.verdict import EXIT_CODES

    prefix = prefix_of(path)
    loaded = load_locust_run(prefix)
    verdict = None
    if thresholds is not None:
        verdict = locustthresholds.decide(locustthresholds.load_thresholds(thresholds, loaded), loaded)
    examined = locustoutputs.examine(loaded, verdict)
    locustoutputs.write_outputs(examined, out or prefix.parent)
    report_path = write_report(examined, out or prefix.parent)
    console.print(locustoutputs.terminal(examined))
    console.print(Text(escaped(f"report: {report_path}")))
    return ExitCode.PASS if verdict is None else EXIT_CODES[verdict.word]


def _report_on_log(path: Path, thresholds: Path | None, out: Path | None) -> int:
    """Report, and with thresholds a verdict, on a log of requests; the exit code."""
    from analysis import logreport
    from analysis.outputs import terminal_view
    from analysis.requestlog import read_log
    from analysis.verdict import EXIT_CODES

    log = read_log(path)
    verdict = logreport.decide(logreport.load_thresholds(thresholds, log), log) if thresholds else None
    report_path = logreport.write_outputs(log, verdict, out or path.parent)
    console.print(Text(escaped(logreport.facts(log))) if verdict is None else terminal_view(verdict))
    console.print(Text(escaped(f"report: {report_path}")))
    return ExitCode.PASS if verdict is None else EXIT_CODES[verdict.word]


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
