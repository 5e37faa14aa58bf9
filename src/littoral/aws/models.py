"""botocore's service models, each loaded once, when it is first asked for; botocore itself with the first of them. What
Littoral has beside them is in them, too (``own``)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore
from botocore import xform_name

from littoral.aws.own import with_own

if TYPE_CHECKING:  # it takes 13 MiB, most of it for what no place does: asking AWS
    from botocore.loaders import Loader
    from botocore.model import OperationModel, ServiceModel

HEAD = 16 * 1024  # bytes of a model within which its metadata is


@cache
def service_model(service: str) -> ServiceModel:
    """The model of botocore's service name. Raises botocore's UnknownServiceError."""
    from botocore.model import ServiceModel

    return ServiceModel(with_own(service, _loader().load_service_model(service, "service-2")), service_name=service)


@cache
def _loader() -> Loader:
    from botocore.loaders import Loader

    return Loader()


@cache
def operation_model(service: str, operation: str) -> OperationModel:
    return service_model(service).operation_model(operation)


@cache
def metadata(service: str) -> Mapping[str, Any]:
    """What a model says of its service as a whole. Read from the model's beginning alone, where it is, so that services
    are told apart before any is loaded. Raises botocore's UnknownServiceError."""
    try:
        versions = Path(botocore.__file__).with_name("data") / service
        with gzip.open(max(versions.iterdir()) / "service-2.json.gz", "rt", encoding="utf-8") as model:
            head = model.read(HEAD)
        found, _ = json.JSONDecoder().raw_decode(head, head.index("{", head.index('"metadata"')))
        return dict(found)
    except (OSError, ValueError):  # as another botocore may have it
        return dict(service_model(service).metadata)


@cache
def python_name(name: str) -> str:
    """``CreateBucket`` → ``create_bucket``, as boto3 spells it."""
    return str(xform_name(name))


@cache
def protocol(service: str) -> str:
    """rest-xml, rest-json, json or query."""
    served = {"rest-xml", "rest-json", "json", "query"}
    found = str(metadata(service)["protocol"])
    if found in served:
        return found
    return str(next(name for name in metadata(service).get("protocols", []) if name in served))


@cache
def signing_name(service: str) -> str:
    return str(metadata(service).get("signingName") or metadata(service)["endpointPrefix"])
