"""A core prepares for its functions' calls as the first of them is to run, and not before."""

from types import SimpleNamespace
from typing import Any, cast

from littoral.aws.invoke import Invocation
from littoral.site.capabilities.core import CoreFunctions


def test_what_first_runs_is_told_of_once() -> None:
    told: list[str] = []
    functions: Any = SimpleNamespace(
        invoke=lambda invocation: told.append("invoked"), hold=lambda held, tell: told.append(f"held {len(held)}")
    )
    core = CoreFunctions(functions, lambda: told.append("begins"))
    core.hold([], print)
    core.hold([cast(Any, SimpleNamespace(function="f", function_version="1"))], print)
    for _ in range(2):
        cast(Any, core.invoke)(Invocation("f", b"{}"))
    assert told == ["held 0", "begins", "held 1", "invoked", "invoked"]
