"""The OpenAPI description of what the page answers, made of the same tables that answer."""

from typing import Any

from Live.audit_logger.columns import column_types
from Live.dashboard.api import ENDPOINTS, SEEDS, V1, Endpoint, export_arguments

SENTENCE = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
ERRORS = {"400": "What is asked for is not understood.", "503": "The record cannot be read now."}
OBJECT = {"type": "object"}


def description() -> dict[str, Any]:
    """The whole of it, OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for endpoint in SEEDS:
        paths[endpoint.path] = {"get": _operation(endpoint)}
    for endpoint in ENDPOINTS:
        paths[f"{V1}{endpoint.path}"] = {"get": _operation(endpoint)}
        if endpoint.listing is not None:
            paths[f"{V1}{endpoint.path}.csv"] = {"get": _export(endpoint)}
    paths["/health"] = {"get": {"summary": "For monitors: 503 when a trader that has not ended is silent.", "responses": _health()}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "AlgoAgent Live dashboard", "version": "1", "description": "Reads the record; changes nothing."},
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    schema = OBJECT if endpoint.listing is None else _page_schema(endpoint)
    return {
        "summary": endpoint.says,
        "parameters": [argument.described() for argument in endpoint.arguments.values()],
        "responses": {"200": {"description": "Well.", "content": {"application/json": {"schema": schema}}}, **_errors(endpoint)},
    }


def _export(endpoint: Endpoint) -> dict[str, Any]:
    assert endpoint.listing is not None
    return {
        "summary": f"{endpoint.says} As CSV.",
        "parameters": [argument.described() for argument in export_arguments(endpoint.listing).values()],
        "responses": {"200": {"description": "Well.", "content": {"text/csv": {"schema": {"type": "string"}}}}, **_errors(endpoint)},
    }


def _errors(endpoint: Endpoint) -> dict[str, Any]:
    codes = {**ERRORS, "404": "There is no such thing."} if endpoint.path == "/chart" else ERRORS
    return {code: {"description": says, "content": {"application/json": {"schema": SENTENCE}}} for code, says in codes.items()}


def _health() -> dict[str, Any]:
    body = {"type": "object", "properties": {name: {"type": "string"} for name in ("status", "trader", "message", "error")}}
    answers = {"200": "Well.", "400": ERRORS["400"], "503": "The trader is silent, or the record cannot be read."}
    return {code: {"description": says, "content": {"application/json": {"schema": body}}} for code, says in answers.items()}


def _page_schema(endpoint: Endpoint) -> dict[str, Any]:
    assert endpoint.listing is not None
    rows = {name: {"type": types} if types else {} for name, types in column_types(endpoint.listing).items()}
    row = {"type": "object", "properties": rows, "required": list(rows)}
    older = {"type": ["integer", "string", "null"]}
    return {"type": "object", "properties": {"rows": {"type": "array", "items": row}, "older": older}, "required": ["rows", "older"]}
