"""KMS' modelled errors. None ever holds a plaintext or a key."""

from littoral.aws.service import ServiceError, modelled

invalid_state = modelled("KMSInvalidStateException")
exists = modelled("AlreadyExistsException")
invalid_alias = modelled("InvalidAliasNameException")
invalid_arn = modelled("InvalidArnException")
unsupported = modelled("UnsupportedOperationException")
invalid = modelled("ValidationException")
malformed_policy = modelled("MalformedPolicyDocumentException")
invalid_tags = modelled("TagException")


def not_found(what: str) -> ServiceError:
    return ServiceError("NotFoundException", f"{what} does not exist", status=400)


def disabled(arn: str) -> ServiceError:
    return ServiceError("DisabledException", f"{arn} is disabled.", status=400)


def invalid_ciphertext() -> ServiceError:
    message = "The ciphertext is none of this place's, was changed, or is of another encryption context."
    return ServiceError("InvalidCiphertextException", message, status=400)


def incorrect_key() -> ServiceError:
    message = "The key ID in the request does not identify a CMK that can perform this operation."
    return ServiceError("IncorrectKeyException", message, status=400)


def invalid_marker() -> ServiceError:
    return ServiceError("InvalidMarkerException", "Could not deserialize marker.", status=400)
