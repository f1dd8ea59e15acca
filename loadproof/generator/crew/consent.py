"""Compares what a master asks of a worker with what the worker's owner has allowed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from loadproof.errors import Problem, UnsafeTargetError
from loadproof.scenario.document import format_path
from loadproof.scenario.safety import allowed_files, allowed_variables
from loadproof.scenario.target.operations import DEFAULT_SECRET_VARIABLE
from loadproof.scenario.target.variables import check_hosts, named_variables
from loadproof.scenario.target.way import file_flaws

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.rundir.manifest import Manifest, TargetFacts


def refusals(manifest: Manifest) -> Iterator[Problem]:
    """Reasons why this process must not take part: a host it may not load, or variables or files it may not read."""
    target = manifest.target
    try:
        check_hosts(target)
    except UnsafeTargetError as error:
        yield from error.problems
    yield from _file_refusals(target)
    allowed = allowed_variables()
    for place, variable in named_variables(target, set(manifest.scenario.mix)):
        is_set = bool(os.environ.get(variable))
        if variable == DEFAULT_SECRET_VARIABLE and not is_set:
            # The default is the reference API's development key, which is not secret.
            continue
        if variable not in allowed:
            remedy = f"if the target may have its value, start the worker with --allow-variable {variable}"
            yield Problem(f"target {place}", "the worker may not read this environment variable", remedy, got=variable)
        elif not is_set:
            yield Problem(f"target {place}", f"the worker's environment variable {variable} is not set", "set it there")


def _file_refusals(target: TargetFacts) -> Iterator[Problem]:
    """Files that would identify this machine, unless its owner agrees; otherwise, files that can't be read here."""
    if target.tls is None:
        return
    refused = {key: path for key, path in target.tls.identity.items() if path not in allowed_files()}
    for key, path in refused.items():
        remedy = f"if the target may be shown that this worker has it, start it with --allow-file {path}"
        yield Problem(f"target tls.{key}", "the worker may not use this file", remedy, got=path)
    if not refused:
        for flaw in file_flaws(target.tls):
            place = format_path(flaw.place)
            yield Problem(f"target {place} on the worker", flaw.what, flaw.remedy, got=flaw.got)
