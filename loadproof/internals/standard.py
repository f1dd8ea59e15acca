"""Parts of the standard library that loadproof needs and that Python doesn't promise, each with a public way beside it.

`tests/loadproof/http/test_ways.py` says whether they are still there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl


def core_of(tls: ssl.SSLObject) -> Any:
    """What the object's own `read` and `write` call, without the cost of theirs; the object itself if it has none.

    Source: ssl.py of Python 3.11 to 3.14, SSLObject.
    """
    return getattr(tls, "_sslobj", tls)
