"""Schemas of requests and answers, for validation and for the OpenAPI document."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from fastapi import FastAPI

AccountId = Annotated[str, Field(min_length=1, max_length=64, examples=["acct-000001"])]
MinorUnits = Annotated[int, Field(gt=0, le=10**12, description="Minor units: cents.", examples=[1250])]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["EUR"])]


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    debit: AccountId
    credit: AccountId
    amount: MinorUnits
    currency: Currency


class Transaction(BaseModel):
    id: str
    debit: str
    credit: str
    amount: int
    currency: str
    created_at: str


class Balance(BaseModel):
    account: str
    balance: int
    currency: str


class Health(BaseModel):
    status: str


class Delivery(BaseModel):
    id: str
    duplicate: bool


class ProblemDetails(BaseModel):
    """Source: RFC 9457, section 3.1."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None


def _header(description: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"description": description, "schema": schema, "required": required}


CREATED_HEADERS: Final = {
    "Location": _header("Where the payment can be read.", {"type": "string"}, required=True),
    "Idempotent-Replayed": _header("The first answer to this key, again.", {"type": "string", "enum": ["true"]}),
}
_PROBLEM_HEADERS: Final = {
    429: {
        "Retry-After": _header("Seconds until a request is admitted.", {"type": "integer"}, required=True),
        "RateLimit": _header("What is left of which limit, and when there is more.", {"type": "string"}),
        "RateLimit-Policy": _header("The limit: requests and seconds.", {"type": "string"}),
    }
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of an operation, for `responses=`."""
    return {
        status: {
            "model": ProblemDetails,
            "description": HTTPStatus(status).phrase,
            "headers": _PROBLEM_HEADERS.get(status, {}),
        }
        for status in statuses
    }


def describe_problems(app: FastAPI) -> None:
    """Make the OpenAPI document say application/problem+json where FastAPI says application/json."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        for operations in document["paths"].values():
            for operation in operations.values():
                _correct(operation["responses"])
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to change the document


def _correct(responses: dict[str, Any]) -> None:
    problem = {"$ref": "#/components/schemas/ProblemDetails"}
    # FastAPI documents its own 422 schema, which is never sent.
    if "HTTPValidationError" in str(responses.get("422", "")):
        responses["422"] = {"description": "Unprocessable Content", "content": {"application/json": {}}}
    for status, response in responses.items():
        if int(status) >= 400:
            response["content"] = {"application/problem+json": {"schema": problem}}
