"""Turns a target file's YAML into a checked `TargetFile`: where your own backend is, and what it calls things.

`endpoints:` uses the reference API's names; whatever your backend calls differently is mapped there, without Python.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from loadproof.errors import InputError, Problem
from loadproof.scenario.mistake import Mistake
from loadproof.scenario.safety import check_base_url
from loadproof.scenario.strict import Name, Strict, nearest, read_document, validate
from loadproof.scenario.target.auth import Auth, auth_flaws
from loadproof.scenario.target.bodyfields import collisions
from loadproof.scenario.target.commands import Commands, command_flaws
from loadproof.scenario.target.headers import header_flaws
from loadproof.scenario.target.limits import Access, Limit  # noqa: TC001 - pydantic resolves it
from loadproof.scenario.target.operations import SIGNATURE_HEADERS, Endpoints, HeaderName, Operation
from loadproof.scenario.target.way import TlsSettings, relative_to, way_flaws

URL_VARIABLE: Final = "TARGET_URL"
ACCOUNTS_NEEDED: Final = 3
"""One whose balance is read and two between which money moves."""

_WRITTEN_KEY: Final = "whsec_"
_SECRETS: Final = (("headers",), ("auth",), ("proxy",), ("endpoints", "webhooks", "secret"))
"""Places whose values are never shown in messages."""


HeaderValue = Annotated[str, StringConstraints(pattern=r"^[ -~]*$", max_length=2000)]


class TargetFile(Strict):
    base_url: Annotated[str, StringConstraints(max_length=500)]
    headers: dict[HeaderName, HeaderValue] = Field(
        default={}, description="Sent with each request; ${NAME} is replaced by the environment variable."
    )
    auth: Auth | None = Field(None, description="How requests are authenticated.")
    accounts: str | Annotated[list[str], Field(min_length=ACCOUNTS_NEEDED)] | None = Field(
        None, description="Ids of accounts that the run may use, or a CSV file of them with a column `account`."
    )
    limits: dict[Name, Limit] = Field(
        default={},
        description="Requests that each client may send, per endpoint: 30/min, or a mapping with more details.",
    )
    access: Access | None = Field(None, description="Clients that the target's lists let in or keep out.")
    tls: TlsSettings | None = Field(None, description="Certificates and keys of an https target.")
    proxy: Annotated[str, StringConstraints(max_length=500)] | None = Field(
        None, description="An HTTP proxy to reach the target through: http://host:port, or http://${USER}:${PASSWORD}@…"
    )
    exclusive_accounts: bool = Field(
        default=False,
        description="Nobody but the run moves money to or from its accounts, so an audit can add it up.",
    )
    endpoints: Endpoints = Endpoints()
    commands: Annotated[Commands, Field(max_length=50)] = Field(
        default={},
        description="Programs that a run may start on this machine with --allow-commands: backup, verify, restore and "
        "serve for an audit of backups, and others for faults.",
    )

    @property
    def account_ids(self) -> list[str] | None:
        return self.accounts if isinstance(self.accounts, list) else None


def load_target(path: Path | None) -> TargetFile | None:
    """The target to load; TARGET_URL replaces its base URL. None: the embedded one. InputError if it isn't valid."""
    override = os.environ.get(URL_VARIABLE)
    if path is None:
        if override is None:
            return None
        target, where = TargetFile(base_url=override), URL_VARIABLE
    else:
        target, where = _from_file(path, override)
    check_base_url(target.base_url, where)
    return target.model_copy(update={"base_url": target.base_url.rstrip("/")})


def _from_file(path: Path, base_url: str | None) -> tuple[TargetFile, str]:
    """The file's target with its accounts read, and where its base URL comes from; `base_url` replaces the file's."""
    document = read_document(path)
    target = validate(TargetFile, document, secrets=_SECRETS)
    if base_url is not None:
        target = target.model_copy(update={"base_url": base_url})
    if target.tls is not None:
        target = target.model_copy(update={"tls": relative_to(path.parent, target.tls)})
    placed = {name: command.placed_in(path.parent) for name, command in target.commands.items()}
    target = target.model_copy(update={"commands": placed})
    problems = [mistake.problem(document) for mistake in _contradictions(target)]
    if problems:
        raise InputError(problems)
    if isinstance(target.accounts, str):
        target = target.model_copy(update={"accounts": _read_accounts(path.parent / target.accounts)})
    return target, document.where(("base_url",)) if base_url is None else URL_VARIABLE


def _contradictions(target: TargetFile) -> Iterator[Mistake]:
    for mistake in header_flaws(target.headers, _sent_by_us(target.endpoints)):
        yield mistake.within("headers")
    if target.endpoints.webhooks.secret.startswith(_WRITTEN_KEY):
        yield Mistake(
            _SECRETS[-1], "a secret in a file", None, "write the name of an environment variable that holds it"
        )
    yield from way_flaws(target, target.headers)
    yield from auth_flaws(target.auth, target.headers)
    yield from command_flaws(target.commands)
    yield from _idle_keys(target.endpoints)
    if target.exclusive_accounts and target.endpoints.balance.may_change:
        what = "contradicts `endpoints.balance.may_change: true`, which says that others move money there too"
        yield Mistake(("exclusive_accounts",), what, None, "remove one of them")
    for endpoint, operation in target.endpoints.operations():
        place = ("endpoints", endpoint)
        if not operation.has_its_placeholders:
            joint = " or " if operation.has_one_placeholder else " and "
            wanted = joint.join(f"{{{name}}}" for name in operation.placeholders) or "no {…}"
            yield Mistake((*place, "path"), "wrong placeholders for this path", operation.path, f"write {wanted} in it")
        for key, given, known in (
            ("body", operation.body, operation.sends),
            ("answer", operation.answer, operation.tells),
        ):
            for word in given:
                if word not in known:
                    remedy = nearest(word, list(known)) if known else "leave it out"
                    yield Mistake((*place, key, word), "not a field that loadproof knows", word, remedy)
        sent = [*operation.adds, *(operation.body.get(word, word) for word in operation.sends)]
        for path, other in collisions(sent, operation.constants):
            yield Mistake(
                (*place, "constants", path),
                "two fields at the same place in the body",
                other,
                "rename or remove one of them",
            )


def _idle_keys(endpoints: Endpoints) -> Iterator[Mistake]:
    """Keys that another key keeps from having an effect; only those that were written."""
    for endpoint, key, other in (
        ("webhooks", "secret", "signature: none" if endpoints.webhooks.signature == "none" else None),
        ("health", "alive", "answer: {status: null}" if _is_untold(endpoints.health, "status") else None),
        ("transactions", "location", "answer: {id: null}" if _is_untold(endpoints.transactions, "id") else None),
    ):
        operation = getattr(endpoints, endpoint)
        if other and key in operation.model_fields_set and getattr(operation, key):
            yield Mistake(
                ("endpoints", endpoint, key), f"no effect together with `{other}`", None, "remove one of them"
            )
    is_read_back = "transaction" in endpoints.model_fields_set and endpoints.transaction is not None
    if is_read_back and _is_untold(endpoints.transactions, "id"):
        what = "no payment can be read back without its id"
        yield Mistake(
            ("endpoints", "transaction"),
            what,
            None,
            "set `transaction: null`, or name the field with the answer's id",
        )


def _is_untold(operation: Operation, word: str) -> bool:
    return word in operation.answer and operation.answer[word] is None


def _sent_by_us(endpoints: Endpoints) -> dict[str, str]:
    """Headers that loadproof itself sets for each request: names in lower case, and what sends them."""
    signature = {name.lower(): "webhooks" for name in SIGNATURE_HEADERS[endpoints.webhooks.signature]}
    key = endpoints.transactions.idempotency_key
    return signature | ({key.lower(): "payments"} if key else {})


def _read_accounts(path: Path) -> list[str]:
    """The column `account` of a CSV file, in order, each id once."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if "account" not in (rows.fieldnames or ()):
                found = ", ".join(rows.fieldnames or ()) or "an empty file"
                raise InputError(Problem(str(path), "no column `account`", "add a header line with it", got=found))
            ids = list(dict.fromkeys(row["account"].strip() for row in rows if (row["account"] or "").strip()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(Problem(str(path), f"can't be read: {error}", "give a CSV file in UTF-8")) from None
    if len(ids) < ACCOUNTS_NEEDED:
        remedy = "name at least one to read and two to pay between"
        raise InputError(Problem(str(path), "too few accounts", remedy, got=str(len(ids))))
    return ids
