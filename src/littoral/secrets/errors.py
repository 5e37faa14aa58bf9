"""Secrets Manager's modelled errors. None ever holds a secret's value."""

from littoral.aws.service import ServiceError


def not_found(message: str = "Secrets Manager can't find the specified secret.") -> ServiceError:
    return ServiceError("ResourceNotFoundException", message, status=400)


def exists(message: str) -> ServiceError:
    return ServiceError("ResourceExistsException", message, status=400)


def invalid_request(message: str) -> ServiceError:
    return ServiceError("InvalidRequestException", message, status=400)


def invalid_parameter(message: str) -> ServiceError:
    return ServiceError("InvalidParameterException", message, status=400)


def too_many(message: str) -> ServiceError:
    return ServiceError("LimitExceededException", message, status=400)


def undecryptable(message: str) -> ServiceError:
    return ServiceError("DecryptionFailure", message, status=400)
