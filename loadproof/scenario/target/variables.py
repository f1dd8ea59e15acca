"""The environment variables that a target file names: whether they can be sent, and how they are masked."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from loadproof import variables
from loadproof.errors import Problem
from loadproof.http.headers import unsendable
from loadproof.scenario.masking.masking import Masker
from loadproof.scenario.safety import check_host, permit
from loadproof.scenario.target.auth import Guarded, token_url_of
from loadproof.scenario.target.headers import variables_in
from loadproof.scenario.target.way import Reached, no_password, no_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from loadproof.scenario.target.operations import Endpoints, WebhookOperation
    from loadproof.scenario.target.targetfile import TargetFile


class Target(Guarded, Reached, Protocol):
    """A target file, or what a manifest says about one."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def endpoints(self) -> Endpoints: ...


def named_variables(target: Target, mix: set[str]) -> list[tuple[str, str]]:
    """Environment variables whose values this mix sends to such a target, each with its place in the target file."""
    named = [
        (f"headers.{name}", variable) for name, value in target.headers.items() for variable in variables_in(value)
    ]
    named += [("proxy", variable) for variable in variables_in(target.proxy or "")]
    named += [(f"auth.{place}", variable) for place, variable in _of_auth(target)]
    if "webhooks" in mix:
        named += [("endpoints.webhooks.secret", variable) for variable in _key_variable(target.endpoints.webhooks)]
    return named


def variable_problems(target: TargetFile, endpoints: set[str]) -> Iterator[Problem]:
    """For each variable that requests to these endpoints need: not set, or not sendable; by name, never by value."""
    for name, value in target.headers.items():
        for variable in variables_in(value):
            yield from _problems(f"target headers.{name}", variable, unsendable, is_needed=True)
    for variable, unfit in zip(variables_in(target.proxy or ""), (no_user, no_password), strict=False):
        yield from _problems("target proxy", variable, unfit, is_needed=True)
    for place, variable in _of_auth(target):
        yield from _problems(f"target auth.{place}", variable, _no_credential, is_needed=True)
    webhooks = target.endpoints.webhooks
    if "webhooks" in endpoints and webhooks.signature != "none":
        # Without `webhooks` in the file, the target is assumed to use the public key, unless the variable is set.
        is_needed = "webhooks" in target.endpoints.model_fields_set
        check = _KEY_CHECKS[webhooks.signature]
        yield from _problems("target endpoints.webhooks.secret", webhooks.secret, check, is_needed=is_needed)


def problems_of_variable(where: str, variable: str) -> Iterator[Problem]:
    """Problems with a variable that a command gets: it isn't set, or is a secret of loadproof's own."""
    yield from _problems(where, variable, lambda _: None, is_needed=True)


def _problems(where: str, variable: str, check: Callable[[str], str | None], *, is_needed: bool) -> Iterator[Problem]:
    value = os.environ.get(variable)
    if variable in {variables.SECRET, variables.SECRET_FILE}:
        refusal = "the secret of master and workers must not be sent to the target"
        yield Problem(where, refusal, "name another environment variable", got=variable)
    elif variable.startswith(variables.LOCUSTS_OWN):
        refusal = "variables with such names are Locust's settings, which loadproof's processes never receive"
        yield Problem(where, refusal, "name another environment variable", got=variable)
    elif value:
        if what := check(value):
            yield Problem(where, f"there is {what} in the environment variable {variable}", "set it without")
    elif is_needed:
        yield Problem(where, f"the environment variable {variable} is not set", "set it")


def _no_base64(value: str) -> str | None:
    try:
        key = base64.b64decode(value.removeprefix("whsec_"))
    except ValueError:
        return "something other than a base64 key"
    return None if key else "an empty key"


def _no_text(value: str) -> str | None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return "something other than UTF-8 text"
    return None


def _no_credential(value: str) -> str | None:
    """Source: RFC 7617, section 2; RFC 6749, appendix A.2."""
    if not value.isprintable():
        return "a control character"
    return _no_text(value)


_KEY_CHECKS: Final[dict[str, Callable[[str], str | None]]] = {
    "standard": _no_base64,
    "stripe": _no_text,
    "telegram": unsendable,
}


def secret_variables(target: Target) -> list[str]:
    """The environment variables that such a target names, whatever the mix."""
    return list(dict.fromkeys(variable for _, variable in named_variables(target, {"webhooks"})))


def permissions_of(target: Target, base_urls: Iterable[str] = (), hosts: Iterable[str] = ()) -> dict[str, str]:
    """The environment of a child that may only load this target and these, read its variables and use its files."""
    hosts = [*(urlsplit(url).hostname or "" for url in (*_urls_of(target).values(), *base_urls)), *hosts]
    return permit(hosts, secret_variables(target), target.tls.identity.values() if target.tls else ())


def check_hosts(target: Target, allowed: Iterable[str] = ()) -> None:
    """UnsafeTargetError, before the first packet, if any host that we would contact is neither loopback nor allowed."""
    for where, url in _urls_of(target).items():
        check_host(url, allowed, where)


def _urls_of(target: Target) -> dict[str, str]:
    """Every URL that we send something to, by its place in the target file."""
    urls = {
        "target": target.base_url,
        "target auth.oauth2.token_url": token_url_of(target),
        "target proxy": target.proxy,
    }
    return {where: url for where, url in urls.items() if url is not None}


def masker_of(names: Iterable[str], environment: Mapping[str, str] = os.environ) -> Masker:
    """A masker of these variables' values: a target may echo what it was sent, and users' code may print it."""
    return Masker({name: environment.get(name, "") for name in names})


def _of_auth(target: Target) -> Iterable[tuple[str, str]]:
    return target.auth.variables.items() if target.auth else ()


def _key_variable(webhooks: WebhookOperation) -> list[str]:
    return [] if webhooks.signature == "none" else [webhooks.secret]
