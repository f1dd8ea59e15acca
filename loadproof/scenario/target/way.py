"""A target file's `tls:` and `proxy:`, checked and turned into the transport's `Way`.

Each process that sends reads the files, from the same path; a run directory has their paths, never their content.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Protocol
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from loadproof.http.origin import Way
from loadproof.http.proxy import Proxy
from loadproof.http.tls import SYSTEM, EncryptedKeyError, Trust, context_for
from loadproof.scenario.mistake import Mistake
from loadproof.scenario.strict import Strict
from loadproof.scenario.target.auth import basic_value
from loadproof.scenario.target.headers import resolved

_HOST_NAME: Final = re.compile(r"(?=.{1,253}\Z)(?!.*\.[0-9]+\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
"""Not an address: its last label isn't a number."""
_VARIABLE: Final = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
_PROXY: Final = re.compile(
    rf"http://(?:(?P<credentials>{_VARIABLE}:{_VARIABLE})@)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[1-9][0-9]{{0,4}}/?"
)
_PEM_LABEL: Final = re.compile(rb"^-----BEGIN ([A-Z0-9 ]+)-----", re.MULTILINE)
_HIGHEST_PORT: Final = 65_535
_MISMATCHES: Final = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"})


def _host_name(name: str) -> str:
    if not _HOST_NAME.fullmatch(name):
        raise ValueError("not a host name; write it like api.example.test, without scheme and port")
    return name


FileName = Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[^\x00-\x1f]+$")]
HostName = Annotated[str, AfterValidator(_host_name)]


class TlsSettings(Strict):
    ca_file: FileName | None = Field(
        None, description="PEM file of the authorities to trust, instead of the system's; relative to this file."
    )
    verify: bool = Field(default=True, description="false: accept any certificate; the report says so.")
    client_certificate: FileName | None = Field(
        None, description="PEM file with which each client identifies itself; relative to this file."
    )
    client_key: FileName | None = Field(
        None, description="PEM file of the certificate's private key, if it isn't in the same file."
    )
    server_name: HostName | None = Field(
        None, description="The name to ask for (SNI), which the certificate must have; the base URL's host if left out."
    )

    @property
    def identity(self) -> dict[str, str]:
        """Paths of the client's certificate and key, by key."""
        names = {"client_certificate": self.client_certificate, "client_key": self.client_key}
        return {key: name for key, name in names.items() if name is not None}

    @property
    def files(self) -> dict[str, str]:
        """Paths by key."""
        return ({} if self.ca_file is None else {"ca_file": self.ca_file}) | self.identity


class Reached(Protocol):
    """A target file, or what a manifest says about one."""

    @property
    def base_url(self) -> str: ...
    @property
    def tls(self) -> TlsSettings | None: ...
    @property
    def proxy(self) -> str | None: ...


def way_of(target: Reached, base_url: str | None = None) -> Way:
    """How to reach the target, with secrets from the environment: only for sending.

    If `base_url` is on another host than the target, that host isn't shown the client certificate, and its own
    certificate is always verified.
    """
    is_target = base_url is None or urlsplit(base_url).netloc == urlsplit(target.base_url).netloc
    return Way(trust_of(target.tls) if is_target else SYSTEM, _proxy_of(target.proxy) if target.proxy else None)


def trust_of(tls: TlsSettings | None) -> Trust:
    """How to verify the target's certificate, and which of our own to present; without settings, the system's trust."""
    return Trust(**tls.model_dump()) if tls else SYSTEM


def _proxy_of(proxy: str) -> Proxy:
    url, match = urlsplit(proxy), _PROXY.fullmatch(proxy)
    credentials = match["credentials"] if match else None
    authorization = basic_value(*map(resolved, credentials.split(":"))) if credentials else None
    return Proxy(url.hostname or "", url.port or 0, authorization)


def relative_to(directory: Path, tls: TlsSettings) -> TlsSettings:
    """The same files by their absolute paths."""
    return tls.model_copy(update={key: str((directory / name).absolute()) for key, name in tls.files.items()})


def way_flaws(target: Reached, headers: dict[str, str]) -> Iterator[Mistake]:
    """Everything that contradicts itself or can't be used."""
    if target.proxy is not None:
        yield from _proxy_flaws(target.proxy, headers, is_https=target.base_url.startswith("https:"))
    if target.tls is None:
        return
    if not target.base_url.startswith("https:"):
        yield Mistake(("tls",), "no effect: the base URL isn't https", None, "write https:// there, or leave `tls` out")
    if target.tls.ca_file is not None and not target.tls.verify:
        yield Mistake(
            ("tls", "ca_file"), "no effect together with `verify: false`", target.tls.ca_file, "remove one of them"
        )
    if target.tls.client_key is not None and target.tls.client_certificate is None:
        yield Mistake(
            ("tls", "client_key"), "a key without its certificate", None, "name its `client_certificate`, too"
        )
    yield from file_flaws(target.tls)


def _proxy_flaws(proxy: str, headers: dict[str, str], *, is_https: bool) -> Iterator[Mistake]:
    where = ("proxy",)
    example = "http://proxy.example.test:3128, or http://${USER}:${PASSWORD}@proxy.example.test:3128"
    match = _PROXY.fullmatch(proxy)
    if match is None:
        # The address may contain a password.
        if "@" in proxy:
            yield Mistake(where, "credentials that are not environment variables", None, f"write it like {example}")
        else:
            yield Mistake(where, "not the URL of an HTTP proxy with its port", proxy, f"write it like {example}")
    elif int(proxy.rstrip("/").rpartition(":")[2]) > _HIGHEST_PORT:
        yield Mistake(where, "not a port", proxy.rstrip("/").rpartition(":")[2], f"write one up to {_HIGHEST_PORT}")
    for name in headers:
        if name.lower() == "proxy-authorization":
            yield Mistake(("headers", name), "a header that loadproof sends to the proxy", name, "write it in `proxy`")
        if name.lower() == "host" and not is_https:
            what = "no effect: a proxy sends the base URL's host instead (RFC 9112, section 3.2.2)"
            yield Mistake(("headers", name), what, name, "leave it out, or do without the proxy")


def file_flaws(tls: TlsSettings) -> Iterator[Mistake]:
    """Files that aren't there, or aren't what their keys say."""
    flaws = [flaw for key, name in tls.files.items() for flaw in _flaws_of_file(key, Path(name), tls)]
    yield from flaws
    if tls.client_certificate is not None and not flaws:
        yield from _flaws_of_pair(tls)


def _flaws_of_file(key: str, path: Path, tls: TlsSettings) -> Iterator[Mistake]:
    where, shown = ("tls", key), str(path)
    if "," in shown:
        yield Mistake(
            where, "a path with a comma, which separates the paths that a process may use", shown, "rename or move it"
        )
        return
    try:
        content = path.read_bytes()
    except OSError as error:
        yield Mistake(where, f"can't be read: {error.strerror or error}", shown, "give the path of a PEM file")
        return
    labels = [label.decode() for label in _PEM_LABEL.findall(content)]
    if key != "client_key" and not any(label.endswith("CERTIFICATE") for label in labels):
        yield Mistake(
            where, "there is no certificate in PEM in it", shown, "give a file with -----BEGIN CERTIFICATE-----"
        )
    elif key == "ca_file":
        try:
            context_for(Trust(shown))
        except OSError as error:
            yield Mistake(where, f"no certificates can be read from it: {_reason(error)}", shown, "give a PEM file")
    holds_key = key == "client_key" or (key == "client_certificate" and tls.client_key is None)
    if holds_key and not any(label.endswith("PRIVATE KEY") for label in labels):
        remedy = "give a file with -----BEGIN PRIVATE KEY-----"
        if key == "client_certificate":
            remedy = "add it, or name the file that has it as `client_key`"
        yield Mistake(where, "there is no private key in PEM in it", shown, remedy)


def _flaws_of_pair(tls: TlsSettings) -> Iterator[Mistake]:
    """Flaws of a certificate and its key together, when each by itself is valid."""
    key, shown = list(tls.identity.items())[-1]
    try:
        context_for(Trust(client_certificate=tls.client_certificate, client_key=tls.client_key))
    except EncryptedKeyError:
        remedy = "decrypt it: openssl pkey -in KEY -out PLAIN"
        yield Mistake(("tls", key), "an encrypted key, and there is no way to enter its password", shown, remedy)
    except ssl.SSLError as error:
        if error.reason in _MISMATCHES:
            yield Mistake(
                ("tls", key), "this key doesn't match the certificate", shown, "give the key that belongs to it"
            )
        else:
            yield Mistake(("tls", key), f"certificate and key can't be read: {_reason(error)}", shown, "give PEM files")


def _reason(error: OSError) -> str:
    return (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or str(error)


def no_password(value: str) -> str | None:
    """What makes the value unfit for a password. Source: RFC 7617, section 2."""
    return None if value.isprintable() else "a control character"


def no_user(value: str) -> str | None:
    """What makes the value unfit for a user. Source: as above."""
    return "a colon" if ":" in value else no_password(value)
