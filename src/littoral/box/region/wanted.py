"""Whether what CreateJob and UpdateJob ask for can be had here. Pure.

A job is for buckets of this region. An export takes ranges of keys; a job of another kind takes none. A box has no
machine images and no NFS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from littoral.box.region.errors import not_found, wrong_address, wrong_combination
from littoral.box.region.job import bucket_of

DEVICES: Final = ("EDGE", "EDGE_C", "EDGE_CG", "EDGE_S", "V3_5C", "V3_5S")  # one and the same here: a label
NEEDED: Final = ("Name", "Street1", "City", "Country", "PostalCode", "PhoneNumber")
HasBucket = Callable[[str], bool]


def check_device(device: str) -> None:
    if device not in DEVICES:
        raise wrong_combination(f"There is no device {device} here; a box is one of {', '.join(DEVICES)}.")


def check_resources(kind: str, resources: Mapping[str, Any], has_bucket: HasBucket) -> None:
    """Raises InvalidResourceException, InvalidInputCombinationException."""
    for member in ("Ec2AmiResources", "LambdaResources"):
        if resources.get(member):
            raise wrong_combination(f"{member} cannot be put on a box here.")
    wanted = resources.get("S3Resources") or []
    if not wanted and kind != "LOCAL_USE":
        raise wrong_combination(f"A job of type {kind} names its buckets in S3Resources.")
    for one in wanted:
        _check_bucket(kind, one, has_bucket)


def _check_bucket(kind: str, wanted: Mapping[str, Any], has_bucket: HasBucket) -> None:
    arn = wanted.get("BucketArn", "")
    bucket = bucket_of(arn)
    if not bucket or not has_bucket(bucket):
        raise not_found("S3_BUCKET", arn or "(none)")
    bounds = wanted.get("KeyRange") or {}
    if bounds and kind != "EXPORT":
        raise wrong_combination("KeyRange is for jobs of type EXPORT.")
    begin, end = bounds.get("BeginMarker", ""), bounds.get("EndMarker", "")
    if end and begin.encode() > end.encode():
        raise wrong_combination(f"KeyRange: {begin[:100]!r} comes after {end[:100]!r}.")
    for service in wanted.get("TargetOnDeviceServices") or []:
        if service.get("ServiceName", "S3_ON_DEVICE_SERVICE") != "S3_ON_DEVICE_SERVICE":
            raise wrong_combination(f"A box has no {service['ServiceName']}.")
        if service.get("TransferOption", kind) != kind:
            raise wrong_combination(f"TransferOption {service['TransferOption']} in a job of type {kind}.")


def check_address(address: Mapping[str, Any]) -> None:
    """Raises InvalidAddressException."""
    missing = [member for member in NEEDED if not str(address.get(member, "")).strip()]
    if missing:
        raise wrong_address(f"The address lacks {', '.join(missing)}.")
