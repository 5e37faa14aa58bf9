"""The errors of the ``iot`` service, by their modelled names."""

from __future__ import annotations

from littoral.aws.service import ServiceError, modelled

invalid = modelled("InvalidRequestException")
not_found = modelled("ResourceNotFoundException", 404)


def exists(message: str, arn: str, resource_id: str) -> ServiceError:
    return ServiceError(
        "ResourceAlreadyExistsException", message, status=409, fields={"resourceArn": arn, "resourceId": resource_id}
    )


def version_conflict(expected: int, found: int) -> ServiceError:
    return ServiceError(
        "VersionConflictException", f"Expected version {expected} but found version {found}", status=409
    )


delete_conflict = modelled("DeleteConflictException", 409)
limit_exceeded = modelled("LimitExceededException", 410)
versions_limit_exceeded = modelled("VersionsLimitExceededException", 409)
