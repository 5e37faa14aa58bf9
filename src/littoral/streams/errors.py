"""Kinesis' modelled errors."""

from littoral.aws.service import ServiceError


def invalid(message: str) -> ServiceError:
    return ServiceError("InvalidArgumentException", message, status=400)


def not_found(message: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", message, status=400)


def in_use(message: str) -> ServiceError:
    return ServiceError("ResourceInUseException", message, status=400)


def too_many(message: str) -> ServiceError:
    return ServiceError("LimitExceededException", message, status=400)


def internal(message: str) -> ServiceError:
    return ServiceError("InternalFailureException", message, status=500)
