"""A core prepares for its functions' calls with the first event of any, and not before."""

from types import SimpleNamespace
from typing import Any, cast

from littoral.aws.invoke import Invocation
from littoral.site.capabilities import CoreFunctions


def test_the_first_invocation_is_told_of_once() -> None:
    told: list[str] = []
    functions: Any = SimpleNamespace(invoke=lambda invocation: told.append("invoked"))
    core = CoreFunctions(functions, lambda: told.append("begins"))
    for _ in range(2):
        cast(Any, core.invoke)(Invocation("f", b"{}"))
    assert told == ["begins", "invoked", "invoked"]
