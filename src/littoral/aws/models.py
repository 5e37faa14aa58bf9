"""botocore's service models, loaded once."""

from __future__ import annotations

from functools import cache

from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

_loader = Loader()


@cache
def service_model(service: str) -> ServiceModel:
    """The model of botocore's service name. Raises botocore's UnknownServiceError."""
    return ServiceModel(_loader.load_service_model(service, "service-2"), service_name=service)


@cache
def operation_model(service: str, operation: str) -> OperationModel:
    return service_model(service).operation_model(operation)


@cache
def python_name(name: str) -> str:
    """``CreateBucket`` → ``create_bucket``, as boto3 spells it."""
    return str(xform_name(name))


@cache
def protocol(service: str) -> str:
    """rest-xml, rest-json, json or query."""
    found = str(service_model(service).metadata["protocol"])
    if found in {"rest-xml", "rest-json", "json", "query"}:
        return found
    others = service_model(service).metadata.get("protocols", [])
    return str(next(name for name in others if name in {"rest-xml", "rest-json", "json", "query"}))


@cache
def signing_name(service: str) -> str:
    metadata = service_model(service).metadata
    return str(metadata.get("signingName") or metadata["endpointPrefix"])
