"""The order of SageMaker's lists."""

from __future__ import annotations

import pytest

from littoral.aws.service import ServiceError
from littoral.models.api.parts import ORDERS, Asked, page
from littoral.models.serving.book import Endpoint

STATUSES = ["InService", "Creating", "Updating", "Failed"]
ENDPOINTS = [Endpoint(f"e{n}", float(n), float(n), "", "config", status=status) for n, status in enumerate(STATUSES)]


@pytest.mark.parametrize(
    ("by", "order", "names"),
    [
        ("Status", "Ascending", ["e1", "e3", "e0", "e2"]),
        ("Status", "Descending", ["e2", "e0", "e3", "e1"]),
        ("CreationTime", "Descending", ["e3", "e2", "e1", "e0"]),
        ("Name", "Ascending", ["e0", "e1", "e2", "e3"]),
    ],
)
def test_a_list_is_in_the_order_that_was_asked_for(by: str, order: str, names: list[str]) -> None:
    asked = Asked(by=by, order=order)
    assert [each.name for each in page(ENDPOINTS, asked, {**ORDERS, "Status": "status"})[0]] == names


@pytest.mark.parametrize("asked", [Asked(by="Status"), Asked(order="Sideways")])
def test_an_order_that_a_list_does_not_have_is_refused(asked: Asked) -> None:
    with pytest.raises(ServiceError, match="is not known") as refused:
        page(ENDPOINTS, asked)
    assert refused.value.code == "ValidationException"
