"""Which methods of an API class are operations, held against the model, and how one is called."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from littoral.aws import models
from littoral.aws.service import Honours, Output, ServiceError


class NotInTheModel(TypeError):
    """An API class does not agree with botocore's model; the message lists every disagreement."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one service, ready to be called."""

    name: str
    method: Callable[..., Awaitable[Output] | Output]
    honoured: Mapping[str, str]  # member → parameter
    harmless: frozenset[str]
    notes: str


def operations(service: str, api: object) -> dict[str, Operation]:
    """The operations of an API object by name; of several, as a tuple, where capabilities share a service. Raises
    NotInTheModel, also where two have the same."""
    model = models.service_model(service)
    names = {models.python_name(name): name for name in model.operation_names}
    found: dict[str, Operation] = {}
    for each in api if isinstance(api, tuple) else (api,):
        problems: list[str] = []
        for attribute, honours in _marked(each):
            name = names.get(attribute)
            if name is None:
                problems.append(f"{attribute} is not an operation")
            elif name in found:
                problems.append(f"{name} is another one's")
            else:
                found[name] = _bind(service, name, getattr(each, attribute), honours, problems)
        if problems:
            raise NotInTheModel(f"{type(each).__name__} for {service}: " + "; ".join(problems))
    return found


def _marked(api: object) -> Iterator[tuple[str, Honours]]:
    for attribute in dir(type(api)):
        honours = getattr(getattr(type(api), attribute, None), "__littoral_operation__", None)
        if isinstance(honours, Honours):
            yield attribute, honours


def _bind(service: str, name: str, method: Callable[..., Any], honours: Honours, problems: list[str]) -> Operation:
    shape = models.operation_model(service, name).input_shape
    members = {models.python_name(member): member for member in (shape.members if shape else ())}
    required = set(shape.required_members) if shape else set()
    honoured = {}
    parameters = list(inspect.signature(method).parameters.values())
    if not parameters or parameters[0].kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
        problems.append(f"{name} takes no call")
    for parameter in parameters[1:]:
        member = members.get(parameter.name)
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            problems.append(f"{name}: {parameter.name} is not keyword-only")
        elif member is None:
            problems.append(f"{name} has no member {parameter.name}")
        else:
            honoured[member] = parameter.name
            if parameter.default is inspect.Parameter.empty and member not in required:
                problems.append(f"{name}: {parameter.name} is optional in the model and needs a default")
    for member in honours.harmless:
        if shape is None or member not in shape.members:
            problems.append(f"{name}: harmless {member} is not a member")
    return Operation(name, method, honoured, honours.harmless, honours.notes)


def arguments(operation: Operation, given: Mapping[str, Any]) -> dict[str, Any]:
    """The members that were sent, as keyword arguments. Raises NotImplemented for one that is not honoured."""
    kwargs = {}
    for member, value in given.items():
        parameter = operation.honoured.get(member)
        if parameter is not None:
            kwargs[parameter] = value
        elif member not in operation.harmless and value not in (None, "", [], {}):
            raise ServiceError(
                "NotImplemented", f"{operation.name}: the field {member} is not implemented here.", status=501
            )
    return kwargs
