"""Turns errors into application/problem+json, whoever raises them.

Source: RFC 9457.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request


class Problem(Exception):  # noqa: N818 - RFC 9457's word
    """An answer that isn't a success; `kind` tells clients what the status alone does not."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail


def problem_answer(
    status: int, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
) -> JSONResponse:
    body = {"type": f"urn:problem:{kind}", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(body | members, status_code=status, headers=headers, media_type="application/problem+json")


def answer_with_problems(app: FastAPI) -> None:
    """Make every error of the application end as a problem."""

    async def ours(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)  # noqa: S101 - registered for this class alone
        return problem_answer(error.status, error.kind, error.detail)

    async def routing(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - as above
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        return problem_answer(error.status_code, kind, str(error.detail), headers=error.headers)

    async def validation(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
        errors = [{"where": ".".join(map(str, one["loc"])), "what": one["msg"]} for one in error.errors()]
        return problem_answer(422, "invalid-request", "The request is not what this endpoint accepts.", errors=errors)

    async def gone(_: Request, _error: Exception) -> JSONResponse:
        # Nobody reads it, and it is no failure of the server's to be logged.
        return problem_answer(400, "client-gone", "The connection ended within the request's body.")

    async def unexpected(_: Request, _error: Exception) -> JSONResponse:
        return problem_answer(500, "unexpected", "The server failed.")

    app.add_exception_handler(Problem, ours)
    app.add_exception_handler(HTTPException, routing)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unexpected)
