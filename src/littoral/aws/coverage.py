"""What is there and what is not: operations per service, and input members that an operation does not honour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from littoral.aws import models
from littoral.aws.registry import operations


@dataclass(frozen=True, slots=True)
class OperationCoverage:
    name: str
    refused: tuple[str, ...]  # members that are answered with NotImplemented
    harmless: tuple[str, ...]  # members that are taken and ignored
    notes: str


@dataclass(frozen=True, slots=True)
class ServiceCoverage:
    service: str
    there: tuple[OperationCoverage, ...]
    missing: tuple[str, ...]


def of(service: str, api: object) -> ServiceCoverage:
    """Coverage of an API object, or of a tuple of those that share a service."""
    found = operations(service, api)
    there = []
    for name, operation in sorted(found.items()):
        shape = models.operation_model(service, name).input_shape
        members = list(shape.members) if shape else []
        refused = tuple(m for m in members if m not in operation.honoured and m not in operation.harmless)
        there.append(OperationCoverage(name, refused, tuple(sorted(operation.harmless)), operation.notes))
    missing = tuple(sorted(set(models.service_model(service).operation_names) - set(found)))
    return ServiceCoverage(service, tuple(there), missing)


def text(coverages: Mapping[str, ServiceCoverage]) -> str:
    """For people."""
    lines = []
    for service, found in coverages.items():
        total = len(found.there) + len(found.missing)
        lines.append(f"{service}: {len(found.there)} of {total} operations")
        for operation in found.there:
            lines.append(f"  {operation.name}")
            if operation.refused:
                lines.append(f"    refused: {', '.join(operation.refused)}")
            if operation.harmless:
                lines.append(f"    ignored, harmless: {', '.join(operation.harmless)}")
            if operation.notes:
                lines.append(f"    {operation.notes}")
        if found.missing:
            lines.append(f"  not there (NotImplemented): {', '.join(found.missing)}")
    return "\n".join(lines) + "\n"
