"""The private parts of geventhttpclient: a pool whose connections come from one address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geventhttpclient.client import HTTPClientPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from geventhttpclient import HTTPClient


class BoundPool(HTTPClientPool):
    """Connections that come from one address; from any if it is None."""

    def __init__(self, source_address: str | None, **settings: Any) -> None:
        super().__init__(**settings)
        self._source_address = source_address

    def get_client(self, url: Any) -> HTTPClient:
        is_new = not self.clients
        client = super().get_client(url)
        if is_new and self._source_address is not None:
            # The pool's own place to set options of its sockets; it has no way to hand them over.
            pool: Any = client._connection_pool
            pool._create_tcp_socket = _bound(pool._create_tcp_socket, self._source_address)
        return client


def _bound(create: Callable[..., Any], source_address: str) -> Callable[..., Any]:
    def create_bound(*arguments: Any) -> Any:
        created = create(*arguments)
        try:
            created.bind((source_address, 0))
        except OSError:
            created.close()
            raise
        return created

    return create_bound
