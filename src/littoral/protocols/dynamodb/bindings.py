"""ExpressionAttributeNames and ExpressionAttributeValues: what expressions refer to, and what none refers to."""

from __future__ import annotations

from collections.abc import Mapping

from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.syntax import Path, Slot
from littoral.protocols.dynamodb.values import Value, check_name, settle

Steps = tuple[str | int, ...]
NAMES, VALUES = "ExpressionAttributeNames", "ExpressionAttributeValues"


class Bindings:
    """Of one request; ``finish`` when all of its expressions are bound."""

    def __init__(
        self, names: Mapping[str, str] | None, values: Mapping[str, Value] | None, *, expressions: bool
    ) -> None:
        """``expressions``: whether the request has any. Raises Invalid."""
        for given, what, sign in ((names, NAMES, "#"), (values, VALUES, ":")):
            if given is None:
                continue
            if not expressions:
                raise Invalid(f"{what} can only be specified when using expressions")
            if not given:
                raise Invalid(f"{what} must not be empty")
            for key in given:
                if not _sound(key, sign):
                    raise Invalid(f'{what} contains invalid key: Syntax error; key: "{key[:100]}"')
        self._names = dict(names or {})
        self._values = dict(values or {})
        for key, value in self._values.items():
            try:
                settle(value)
            except Invalid as problem:
                raise Invalid(f"{VALUES} contains invalid value: {problem} for key {key}") from None
        self._used: set[str] = set()

    def path(self, path: Path, what: str) -> Steps:
        """Raises Invalid."""
        return tuple(self._name(step, what) if isinstance(step, str) else step for step in path.steps)

    def value(self, slot: Slot, what: str) -> Value:
        """Raises Invalid."""
        if slot.name not in self._values:
            raise Invalid(
                f"Invalid {what}: An expression attribute value used in expression is not defined; "
                f"attribute value: {slot.name}"
            )
        self._used.add(slot.name)
        return self._values[slot.name]

    def finish(self) -> None:
        """Raises Invalid where something is not used."""
        for given, what in ((self._names, NAMES), (self._values, VALUES)):
            unused = [key for key in given if key not in self._used]
            if unused:
                raise Invalid(f"Value provided in {what} unused in expressions: keys: {{{', '.join(unused)}}}")

    def _name(self, step: str, what: str) -> str:
        if not step.startswith("#"):
            return step
        if step not in self._names:
            raise Invalid(
                f"Invalid {what}: An expression attribute name used in the document path is not defined; "
                f"attribute name: {step}"
            )
        self._used.add(step)
        check_name(self._names[step])
        return self._names[step]


def _sound(key: str, sign: str) -> bool:
    return len(key) > 1 and key[0] == sign and key[1:].isascii() and key[1:].replace("_", "a").isalnum()
