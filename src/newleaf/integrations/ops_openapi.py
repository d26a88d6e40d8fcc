"""The operator's endpoint as an OpenAPI document, with an example of everything that is said.

Written by hand: what the code takes is narrower than what a framework would guess, and the tests ask the
endpoint everything that the document allows, and more.
"""

from __future__ import annotations

from typing import Any

from newleaf.core.missions.ops_requests import COMMIT, LABEL_VALUE, STATUS, VERSION, WORD
from newleaf.core.missions.targeting import HOST

JSON = "application/json"
JOB = "4c6d0c3f0a3d4f6f8a1f0c6f5b9a7e21"
Schema = dict[str, Any]

RETRY: Schema = {
    "Retry-After": {"description": "seconds", "schema": {"type": "string", "pattern": "^[0-9]+$"}}
}


def describe(version: str) -> Schema:
    """The document, for newleaf's version."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "newleaf: the operator's endpoint",
            "version": version,
            "description": "Orders updates of a fleet; says who runs what. Without tokens it answers 503.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"header": []}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-ua-ops-token"},
            },
        },
    }


def _paths() -> Schema:
    return {
        "/api/v1/ops/factory/update": {"post": _order()},
        "/api/v1/ops/orders/{job_id}": {"get": _progress()},
        "/api/v1/factory/registrations": {"post": _register(), "get": _list()},
        "/api/v1/health": {"get": _health()},
        "/api/v1/version": {"get": _version()},
    }


def _order() -> Schema:
    conflict = {
        "schema": 1,
        "error": "an update for it is in flight",
        "until": "2026-11-21T12:00:00Z",
        "job_id": JOB,
    }
    accepted = {"ok": True, "job_id": JOB, "branch": "main", "target_factory_id": "mini-1"}
    return {
        "operationId": "orderUpdate",
        "summary": "Orders one host, or all of them, to update.",
        "requestBody": _body(
            "Order",
            {
                "one": {"target_factory_id": "mini-1"},
                "all": {},
                "only on this branch": {"target_factory_id": "mini-1", "branch": "main"},
            },
        ),
        "responses": {
            "202": _said("The order is on the bus.", "Accepted", accepted),
            "404": _refused("No such host has made itself known.", "no such host has made itself known"),
            "409": _said("An update for it is in flight, until then at most.", "InFlight", conflict),
            **_body_refusals(),
            **_guarded("this token is a factory's"),
            "429": _slow(),
        },
    }


def _progress() -> Schema:
    example = {
        "schema": 1,
        "outcome": "updated",
        "final": True,
        "job_id": JOB,
        "target": "mini-1",
        "issued_at": "2026-11-20T12:00:00Z",
        "expires_at": "2026-11-21T12:00:00Z",
        "results": [{"host": "mini-1", "status": "SUCCESS", "at": "2026-11-20T12:00:09Z", "result": {}}],
        "missing": [],
    }
    parameter = {
        "name": "job_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "example": JOB,
    }
    return {
        "operationId": "findOrder",
        "summary": "What came so far of the last order of a host, or of all.",
        "parameters": [parameter],
        "responses": {
            "200": _said("What is known of it.", "Progress", example),
            "404": _refused("No such order.", "it is not the last order of any host, nor of all"),
            **_guarded("this token is a factory's"),
            "429": _slow(),
        },
    }


def _register() -> Schema:
    example = {
        "name": "mini-1",
        "labels": {"role": "worker"},
        "capabilities": ["gpu"],
        "version": "1.3.0",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "status": "deployed",
    }
    answered = {"ok": True, "name": "mini-1", "interval_seconds": 15.0}
    return {
        "operationId": "register",
        "summary": "A factory makes itself known, and says that it is still there.",
        "requestBody": _body("Registration", {"a factory": example}),
        "responses": {
            "200": _said("It is known; when to say so again.", "Registered", answered),
            **_body_refusals(),
            **_guarded("this token is bound to another host"),
            "429": _slow(),
        },
    }


def _list() -> Schema:
    known = {
        "name": "mini-1",
        "at": "2026-11-20T12:00:00Z",
        "version": "1.3.0",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "status": "deployed",
        "age_seconds": 3.2,
        "silent": False,
        "drift": False,
        "expected": "0123456789abcdef0123456789abcdef01234567",
    }
    example = {"schema": 1, "target": None, "registrations": [known]}
    return {
        "operationId": "listRegistrations",
        "summary": "Who runs what, and when each was last heard.",
        "responses": {
            "200": _said(
                "All that have made themselves known, those that were silent for a week aside.",
                "Registrations",
                example,
            ),
            **_guarded("this token is a factory's"),
            "429": _slow(),
        },
    }


def _health() -> Schema:
    well = {"schema": 1, "ok": True, "bus": "up", "headquarters": True}
    return {
        "operationId": "health",
        "summary": "Whether the endpoint and its bus are there.",
        "security": [],
        "responses": {
            "200": _said("All is well.", "Health", well),
            "503": _said("The bus is down.", "Health", {**well, "ok": False, "bus": "down"}),
        },
    }


def _version() -> Schema:
    example = {
        "schema": 1,
        "newleaf": "1.0.0",
        "app": "sessions",
        "channel": "beta",
        "version": "1.3.0",
        "commit": "0123456789abcdef0123456789abcdef01234567",
    }
    return {
        "operationId": "version",
        "summary": "What runs here.",
        "security": [],
        "responses": {"200": _said("newleaf's version, and the app's.", "Version", example)},
    }


# --- schemas --------------------------------------------------------------------------------


def _schemas() -> Schema:
    return {
        "Order": _object(
            {
                "target_factory_id": _nullable(_text(HOST, "the host; without it, all of them")),
                "branch": _nullable(
                    _text(None, "refused by hosts that follow another; each follows its own")
                ),
            }
        ),
        "Accepted": _object(
            {
                "ok": {"const": True},
                "job_id": {"type": "string"},
                "branch": {"type": "string"},
                "target_factory_id": {"type": ["string", "null"]},
            },
            required=True,
        ),
        "InFlight": _answer(
            error={"type": "string"},
            until={"type": "string", "description": "when it is in flight no more, at the latest"},
            job_id={"type": "string"},
        ),
        "Refusal": _answer(error={"type": "string"}),
        "Progress": _answer(
            outcome={"type": "string"},
            final={"type": "boolean"},
            job_id={"type": "string"},
            target={"type": "string"},
            issued_at={"type": "string"},
            expires_at={"type": "string"},
            results={"type": "array", "items": {"type": "object"}},
            missing={"type": "array", "items": {"type": "string"}},
        ),
        **_registration_schemas(),
        "Health": _answer(
            ok={"type": "boolean"}, bus={"enum": ["up", "down"]}, headquarters={"type": "boolean"}
        ),
        "Version": _answer(
            newleaf={"type": "string"},
            app={"type": "string"},
            channel={"type": ["string", "null"]},
            version={"type": ["string", "null"]},
            commit={"type": ["string", "null"]},
        ),
    }


def _registration_schemas() -> Schema:
    labels = {
        "type": "object",
        "maxProperties": 64,
        "propertyNames": {"pattern": f"^{WORD}$"},
        "additionalProperties": _text(LABEL_VALUE),
    }
    capabilities = {"type": "array", "maxItems": 64, "items": _text(WORD)}
    registration = {
        "name": _text(HOST, "the one that the token is bound to"),
        "labels": _nullable(labels),
        "capabilities": _nullable(capabilities),
        "version": _nullable(_text(VERSION)),
        "commit": _nullable(_text(COMMIT)),
        "status": _nullable(_text(STATUS, "a word of `newleaf status`")),
    }
    listed = {
        "type": "object",
        "required": [
            "name",
            "at",
            "age_seconds",
            "silent",
            "drift",
            "expected",
            "version",
            "commit",
            "status",
        ],
        "properties": {
            "name": {"type": "string"},
            "at": {"type": "string"},
            "age_seconds": {"type": "number", "minimum": 0},
            "silent": {"type": "boolean"},
            "drift": {"type": ["boolean", "null"]},
        },
    }
    return {
        "Registration": {**_object(registration), "required": ["name"]},
        "Registered": _object(
            {"ok": {"const": True}, "name": {"type": "string"}, "interval_seconds": {"type": "number"}},
            required=True,
        ),
        "Registrations": _answer(
            target={"type": ["object", "null"]}, registrations={"type": "array", "items": listed}
        ),
    }


def _object(properties: Schema, *, required: bool = False) -> Schema:
    made: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**made, "required": list(properties)} if required else made


def _answer(**properties: Schema) -> Schema:
    return _object({"schema": {"const": 1}, **properties}, required=True)


def _text(pattern: str | None = None, description: str = "") -> Schema:
    made: Schema = {"type": "string"}
    if pattern:
        made["pattern"] = f"^{pattern}$"
    return {**made, "description": description} if description else made


def _nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


# --- messages -------------------------------------------------------------------------------


def _content(schema: str, **examples: Schema) -> Schema:
    named = {"examples": {name: {"value": value} for name, value in examples.items()}}
    return {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}, **named}}


def _body(schema: str, examples: dict[str, Schema]) -> Schema:
    return {"required": True, "content": _content(schema, **examples)}


def _said(description: str, schema: str, example: Schema) -> Schema:
    return {"description": description, "content": _content(schema, example=example)}


def _refused(description: str, error: str) -> Schema:
    return _said(description, "Refusal", {"schema": 1, "error": error})


def _slow() -> Schema:
    return {**_refused("Too many failures, or orders, in a minute.", "too many failures"), "headers": RETRY}


def _guarded(forbidden: str) -> Schema:
    return {
        "401": _refused("No token, or a wrong one.", "that is not the secret"),
        "403": _refused("Not this token, or not this node: only headquarters orders.", forbidden),
        "413": _refused("Too long.", "no token is as long as that"),
        "503": _refused("The bus is down; or there is no token at all, and so no way in.", "the bus is away"),
    }


def _body_refusals() -> Schema:
    return {
        "400": _refused("The body ended before its end.", "the body ended before its end"),
        "408": _refused("The body did not come in time.", "the body did not come in time"),
        "422": _refused("The body is none that is meant.", "the body is no object"),
    }
