"""Turns all errors into application/problem+json, wherever they are raised.

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
    """An error answer; `kind` tells clients more than the status alone."""

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
    """Make the application answer every error with a problem document."""

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
        # Nobody reads this answer; it only keeps the disconnect from being logged as a server failure.
        return problem_answer(400, "client-gone", "The connection ended within the request's body.")

    async def unexpected(_: Request, _error: Exception) -> JSONResponse:
        return problem_answer(500, "unexpected", "The server failed.")

    app.add_exception_handler(Problem, ours)
    app.add_exception_handler(HTTPException, routing)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unexpected)
