"""Locust's own two HTTP clients, made to follow the target file in requests to its target, as far as they can."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, cast

import gevent.ssl
from geventhttpclient.client import HTTPClientPool
from locust import clients
from locust.contrib import fasthttp
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from loadproof.http.tls import SYSTEM
from loadproof.httpuser import terms
from loadproof.internals.locustclients import complete_url
from loadproof.scenario.safety import check_host

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest, Request, Response

    from loadproof.http.tls import Trust

_POSITIONAL: Final = (
    "name",
    "data",
    "catch_response",
    "stream",
    "headers",
    "auth",
    "json",
    "allow_redirects",
    "context",
)
"""Source: locust 2.47, FastHttpSession.request."""


class TermsSession(clients.HttpSession):
    """Applies the target file to requests' sessions: to each request, and when it is redirected."""

    _sends_host = True
    """Pass the target file's Host to requests as a header."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        self._terms = terms.THIS_PROCESS.ask()
        super().__init__(*positional, **named)
        if self._terms:
            self.verify, self.cert = self._terms.verify, self._terms.cert

    def prepare_request(self, request: Request) -> PreparedRequest:
        """As Locust's; requests to the target get the target file's headers."""
        own = self._terms
        if own and own.is_own(str(request.url)):
            auth = request.auth or self.auth
            request.headers = own.beneath(request.headers or {}, self.headers, auth, with_host=self._sends_host)
        return super().prepare_request(request)

    def get_redirect_target(self, resp: Response) -> str | None:
        """As requests'; a redirect to the name in the target file's Host stays at the target."""
        location = super().get_redirect_target(resp)
        return self._terms.place(location, str(resp.url)) if self._terms and location else location

    def rebuild_auth(self, prepared_request: PreparedRequest, response: Response) -> None:
        """As requests', which calls it before following a redirect; also removes what isn't for the next host."""
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]
        if self._terms:
            begun_at, to = str(response.request.url), str(prepared_request.url)
            self._terms.redirect(cast("Any", prepared_request.headers), begun_at=begun_at, to=to)


class LocustsSession(TermsSession):
    """The client of Locust's HttpUser. It can't use a TLS server name other than the URL's host."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        super().__init__(*positional, **named)
        if self._terms:
            self.proxies = dict.fromkeys(("http", "https"), self._terms.proxy_url) if self._terms.proxy_url else {}
            if self.cert and self.verify is True:
                # The same authorities, but with True, Locust would load the certificate into a context for all hosts.
                self.verify = DEFAULT_CA_BUNDLE_PATH

    def send(self, request: PreparedRequest, **options: Any) -> Response:
        """As requests'; called for each step of a redirect."""
        if options.get("proxies", self.proxies):
            _check_behind_proxy(request.url)
        if self._terms and not self._terms.is_own(str(request.url)):
            options["verify"], options["cert"] = self._terms.elsewhere(options.get("verify"), options.get("cert"))
        return super().send(request, **options)

    def request(self, *positional: Any, **named: Any) -> Any:
        """As Locust's; a renewal of the credential comes after its measurement has ended."""
        response = super().request(*positional, **named)
        return _looked_after(self._terms, response, response.request)


class LocustsFastSession(fasthttp.FastHttpSession):
    """The client of Locust's FastHttpUser, which verifies no certificates by default."""

    def __init__(
        self,
        base_url: str | None,
        request_event: Any,
        user: Any,
        insecure: bool = True,
        client_pool: HTTPClientPool | None = None,
        ssl_context_factory: Callable[..., Any] | None = None,
        **options: Any,
    ) -> None:
        own = self._terms = terms.THIS_PROCESS.ask()
        self._said = options.get("headers") or {}
        elsewhere: dict[str, Any] = {}
        if own:
            options |= _proxy_options(own)
            if ssl_context_factory is None and not _says_insecure(user):
                trust = own.origin.way.trust
                insecure, ssl_context_factory = not trust.verify, functools.partial(_context, trust)
                elsewhere = {"insecure": False, "ssl_context_factory": functools.partial(_context, SYSTEM)}
                options["ssl_options"] = {"server_hostname": trust.server_name or own.origin.host}
        super().__init__(base_url, request_event, user, insecure, client_pool, ssl_context_factory, **options)
        if own:
            agent: Any = self.client
            agent.request_type = functools.partial(_FastRequest, own)
            if client_pool is None:
                agent.clientpool = _Pools(own, agent.clientpool, elsewhere)
        connecting = client_pool.client_args if client_pool else options
        if connecting.get("proxy_host"):
            proxy = connecting["proxy_host"], connecting.get("proxy_port")
            self.client.clientpool = cast("Any", _PoolBehindProxy(self.client.clientpool, *proxy))

    def request(self, method: str, url: str, *positional: Any, **options: Any) -> Any:
        """As Locust's; requests to the target get the target file's headers."""
        options |= zip(_POSITIONAL, positional, strict=False)
        own = self._terms
        if own and own.is_own(complete_url(self, url)):
            auth = options.get("auth") or self.auth_header
            options["headers"] = own.beneath(options.get("headers") or {}, self._said, auth, with_host=True)
        response: Any = super().request(method, url, **options)
        return _looked_after(own, response, response.request, options.get("name") or self.request_name or url)


class _FastRequest(fasthttp.FastRequest):
    def __init__(self, own: terms.Terms, *positional: Any, **named: Any) -> None:
        super().__init__(*positional, **named)
        self._own = own

    def redirect(self, code: int, location: str) -> None:
        begun_at = str(self.url)
        super().redirect(code, self._own.place(location, begun_at))
        self._own.redirect(cast("Any", self.headers), begun_at=begun_at, to=str(self.url))


class _Pools:
    """Connections to the target, and separate ones to other hosts, without the target's trust settings."""

    def __init__(self, own: terms.Terms, pool: HTTPClientPool, elsewhere: dict[str, Any]) -> None:
        self._own = own
        self._pool = pool
        others = {key: value for key, value in pool.client_args.items() if key != "ssl_options"}
        self._others = HTTPClientPool(**others | elsewhere)

    def get_client(self, url: Any) -> Any:
        return (self._pool if self._own.is_own(str(url)) else self._others).get_client(url)

    def close(self) -> None:
        self._pool.close()
        self._others.close()


class _PoolBehindProxy:
    """Connections through the target file's proxy, only to hosts that may be loaded."""

    def __init__(self, pool: Any, host: object, port: object) -> None:
        self._pool = pool
        self._proxy = host, port

    def get_client(self, url: Any) -> Any:
        _check_behind_proxy(str(url))
        terms.check_proxy(*self._proxy)
        return self._pool.get_client(url)

    def close(self) -> None:
        self._pool.close()


def _check_behind_proxy(url: str | None) -> None:
    """UnsafeTargetError for a host that is not allowed: the check of sockets only sees the proxy's address."""
    check_host(url or "", (), "locustfile")


def _looked_after(own: terms.Terms | None, response: Any, request: Any, name: str = "") -> Any:
    if own and own.number and request is not None:
        is_ours = request.headers.get("Authorization") == own.authorization
        own.look_after(name or str(response.request_meta["name"]), response.status_code, is_ours=is_ours)
    return response


def _says_insecure(user: Any) -> bool:
    """Whether the locustfile sets `insecure`, to True or False; Locust's own classes don't count."""
    return any("insecure" in vars(cls) for cls in type(user).__mro__ if not cls.__module__.startswith("locust."))


def _proxy_options(own: terms.Terms) -> dict[str, Any]:
    proxy = own.origin.way.proxy
    if proxy is None:
        return {}
    user, password = own.proxy_credentials or (None, None)
    return {"proxy_host": proxy.host, "proxy_port": proxy.port, "proxy_user": user, "proxy_password": password}


@functools.cache
def _context(trust: Trust, cafile: str | None = None) -> Any:  # noqa: ARG001 - geventhttpclient would add its own
    """A gevent SSL context, one per process and trust; geventhttpclient would use another file of authorities."""
    context = gevent.ssl.create_default_context(cafile=trust.ca_file)
    if not trust.verify:
        context.check_hostname = False
        context.verify_mode = gevent.ssl.CERT_NONE
    if trust.client_certificate is not None:
        context.load_cert_chain(trust.client_certificate, trust.client_key)
    return context
