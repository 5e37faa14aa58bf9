"""Secrets Manager's modelled errors. None ever holds a secret's value."""

from littoral.aws.service import ServiceError, modelled


def not_found(message: str = "Secrets Manager can't find the specified secret.") -> ServiceError:
    return ServiceError("ResourceNotFoundException", message, status=400)


exists = modelled("ResourceExistsException")
invalid_request = modelled("InvalidRequestException")
invalid_parameter = modelled("InvalidParameterException")
too_many = modelled("LimitExceededException")
undecryptable = modelled("DecryptionFailure")
unencryptable = modelled("EncryptionFailure")
