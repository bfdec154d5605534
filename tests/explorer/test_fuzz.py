"""Every endpoint with made-up values: nothing makes the server fail."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filterscope.explorer import Session
from filterscope.explorer.app import create_routes

PATHS = ["/api/images", "/api/label", "/api/open", "/api/probe", "/api/state", "/api/votes"]
EXAMPLES = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def operations(session: Session) -> Iterator[dict[str, Any]]:
    """What the OpenAPI description lists, by path."""
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", create_routes(session))
    found = [one.ok() for one in schema.get_all_operations()]
    yield {operation.path: operation for operation in found}


def test_the_description_names_every_endpoint(operations: dict[str, Any]) -> None:
    assert sorted(operations) == PATHS


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("path", PATHS)
def test_no_endpoint_fails(
    operations: dict[str, Any], session: Session, path: str, mode: str
) -> None:
    operation = operations[path]
    image = next(iter(session.pictures)).id
    kind = schemathesis.GenerationMode(mode)
    seen = []

    @EXAMPLES
    @given(
        case=operation.as_strategy(generation_mode=kind),
        network=st.sampled_from(["espcn", "bicubic", "resnet20", "raises", None]),
    )
    def check(case: Any, network: str | None) -> None:
        # most requests name what is there, so that their values get past the first look
        if network is not None and isinstance(case.query, dict) and path != "/api/images":
            case.query |= {"network": network, "image": image}
        answer = case.call()
        seen.append(answer.status_code)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert answer.json()["error"]["message"]

    check()
    assert len(seen) >= 5
