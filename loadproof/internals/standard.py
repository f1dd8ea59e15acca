"""Private parts of the standard library that loadproof uses, each with a public alternative to fall back on.

`tests/loadproof/http/test_ways.py` checks that they still exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl


def core_of(tls: ssl.SSLObject) -> Any:
    """The object behind `read` and `write`, which is cheaper to call directly; `tls` itself if there is none.

    Source: ssl.py of Python 3.11 to 3.14, SSLObject.
    """
    return getattr(tls, "_sslobj", tls)
