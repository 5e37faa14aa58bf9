"""KMS' modelled errors. None ever holds a plaintext or a key."""

from littoral.aws.service import ServiceError


def not_found(what: str) -> ServiceError:
    return ServiceError("NotFoundException", f"{what} does not exist", status=400)


def disabled(arn: str) -> ServiceError:
    return ServiceError("DisabledException", f"{arn} is disabled.", status=400)


def invalid_state(message: str) -> ServiceError:
    return ServiceError("KMSInvalidStateException", message, status=400)


def exists(message: str) -> ServiceError:
    return ServiceError("AlreadyExistsException", message, status=400)


def invalid_alias(message: str) -> ServiceError:
    return ServiceError("InvalidAliasNameException", message, status=400)


def invalid_arn(message: str) -> ServiceError:
    return ServiceError("InvalidArnException", message, status=400)


def invalid_ciphertext() -> ServiceError:
    message = "The ciphertext is none of this place's, was changed, or is of another encryption context."
    return ServiceError("InvalidCiphertextException", message, status=400)


def incorrect_key() -> ServiceError:
    message = "The key ID in the request does not identify a CMK that can perform this operation."
    return ServiceError("IncorrectKeyException", message, status=400)


def unsupported(message: str) -> ServiceError:
    return ServiceError("UnsupportedOperationException", message, status=400)


def invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message, status=400)


def malformed_policy(message: str) -> ServiceError:
    return ServiceError("MalformedPolicyDocumentException", message, status=400)


def invalid_tags(message: str) -> ServiceError:
    return ServiceError("TagException", message, status=400)


def invalid_marker() -> ServiceError:
    return ServiceError("InvalidMarkerException", "Could not deserialize marker.", status=400)
