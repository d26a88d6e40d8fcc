"""The endpoint and its OpenAPI document say the same: schemathesis asks all that it allows, and what not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from newleaf.integrations import ops
from newleaf.integrations.ops import OpsApi
from newleaf.integrations.ops_openapi import describe
from tests.support.headquarters import FACTORY, OPS, Centre
from tests.support.redis_server import serve_redis
from tests.support.served import Served, served

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
EXAMPLES = 20
"""Of each operation and each way of asking: about a second for all of them."""
# Where it was the token that was made wrong, the right one takes its place: that is another test's.
ANSWERED = {
    ("orderUpdate", "positive"): {202, 404, 409, 422},
    ("orderUpdate", "negative"): {202, 409, 422},
    ("findOrder", "positive"): {404},
    ("findOrder", "negative"): {404},
    ("register", "positive"): {200},
    ("register", "negative"): {200, 403, 422},
    ("listRegistrations", "positive"): {200},
    ("health", "positive"): {200},
    ("version", "positive"): {200},
}
OPERATIONS = ["orderUpdate", "findOrder", "register", "listRegistrations", "health", "version"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Served]:
    with serve_redis(appendonly="no") as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "MAX_ORDERS", 100_000)
        centre = Centre(server.url)
        centre.register("mini-1")
        with served(OpsApi(centre.operations()), http="h11") as made:
            yield made


@pytest.fixture(scope="module")
def schema(endpoint: Served) -> Any:
    logging.getLogger("schemathesis").setLevel(logging.ERROR)
    found = schemathesis.openapi.from_url(f"http://127.0.0.1:{endpoint.port}/openapi.json")
    found.config.update(base_url=f"http://127.0.0.1:{endpoint.port}")
    return found


@pytest.mark.parametrize(
    ("operation", "mode"),
    ANSWERED,
)
def test_whatever_is_asked_then_the_answer_is_one_that_the_document_has(
    schema: Any, operation: str, mode: str
) -> None:
    chosen = schemathesis.GenerationMode(mode)
    strategy = schema.find_operation_by_id(operation).as_strategy(generation_mode=chosen)
    token = FACTORY if operation == "register" else OPS
    seen: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def ask(case: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}
        if operation == "register" and mode == "positive":
            case.body = {**case.body, "name": "mini-1"}
        response = case.call()
        seen.add(response.status_code)
        case.validate_response(response, checks=CHECKS)

    ask()
    assert seen <= ANSWERED[operation, mode]


def test_every_example_of_the_document_then_its_own_schema_takes_it() -> None:
    document = describe("1.0.0")
    schemas = document["components"]["schemas"]
    count = 0
    for path in document["paths"].values():
        for operation in path.values():
            said = [operation.get("requestBody"), *operation["responses"].values()]
            for content in (one["content"]["application/json"] for one in said if one):
                name = content["schema"]["$ref"].rpartition("/")[2]
                for example in content["examples"].values():
                    count += 1
                    missing = set(schemas[name].get("required", ())) - set(example["value"])
                    unknown = set(example["value"]) - set(schemas[name]["properties"])
                    assert (missing, unknown) == (set(), set()), (name, example)
    assert count > 30
    assert msgspec.json.decode(msgspec.json.encode(document)) == document


def test_every_operation_of_the_document_then_it_is_asked_above() -> None:
    operations = [
        one["operationId"] for path in describe("1").get("paths", {}).values() for one in path.values()
    ]
    assert sorted(operations) == sorted(OPERATIONS)
