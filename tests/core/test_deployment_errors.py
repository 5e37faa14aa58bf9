"""AWS's codes of a deployment that has failed, and what kinds of errors they make."""

from __future__ import annotations

import pytest

from littoral.core.deploymenterrors import FAILURE, UPDATE, answered, coded, read, types_of, written
from littoral.core.recipe import BadComponent


@pytest.mark.parametrize(
    ("stack", "types"),
    [
        ((), ()),
        ((FAILURE,), ("UNKNOWN_ERROR",)),
        ((FAILURE, UPDATE), ("COMPONENT_ERROR",)),
        ((FAILURE, UPDATE, "COMPONENT_BROKEN"), ("USER_COMPONENT_ERROR",)),
        ((FAILURE, "ARTIFACT_DOWNLOAD_ERROR", *answered(403)), ("PERMISSION_ERROR",)),
        ((FAILURE, "ARTIFACT_DOWNLOAD_ERROR", *answered(400)), ("NUCLEUS_ERROR",)),
        ((FAILURE, "ARTIFACT_DOWNLOAD_ERROR", "IO_ERROR", "IO_UNZIP_ERROR"), ("DEVICE_ERROR",)),
    ],
)
def test_what_kinds_of_errors_a_stack_has(stack: tuple[str, ...], types: tuple[str, ...]) -> None:
    assert types_of(stack) == types
    assert read(written(stack)) == list(stack)


def test_what_says_nothing_of_its_own_is_what_was_tried() -> None:
    for own, codes in (((), ("A", "B")), (("C",), ("C",))):
        with pytest.raises(BadComponent) as raised, coded("A", "B"):
            raise BadComponent("why", *own)
        assert raised.value.codes == codes and str(raised.value) == "why"
    with pytest.raises(KeyError), coded("A"):
        raise KeyError


@pytest.mark.parametrize("said", [None, 5, {"A": 1}, "", "[]", [5, None, "small", "A" * 256, "A B"]])
def test_of_what_a_device_says_only_codes_are_taken(said: object) -> None:
    assert read(said) == []
