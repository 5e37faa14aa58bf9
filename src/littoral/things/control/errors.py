"""The errors of the ``iot`` service, by their modelled names."""

from __future__ import annotations

from littoral.aws.service import ServiceError


def invalid(message: str) -> ServiceError:
    return ServiceError("InvalidRequestException", message, status=400)


def not_found(message: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", message, status=404)


def exists(message: str, arn: str, resource_id: str) -> ServiceError:
    return ServiceError(
        "ResourceAlreadyExistsException", message, status=409, fields={"resourceArn": arn, "resourceId": resource_id}
    )


def version_conflict(expected: int, found: int) -> ServiceError:
    return ServiceError(
        "VersionConflictException", f"Expected version {expected} but found version {found}", status=409
    )


def delete_conflict(message: str) -> ServiceError:
    return ServiceError("DeleteConflictException", message, status=409)


def limit_exceeded(message: str) -> ServiceError:
    return ServiceError("LimitExceededException", message, status=410)


def versions_limit_exceeded(message: str) -> ServiceError:
    return ServiceError("VersionsLimitExceededException", message, status=409)
