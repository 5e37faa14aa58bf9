"""Certificate Manager's modelled errors. None ever holds a key."""

from littoral.aws.service import ServiceError


def not_found(arn: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"Could not find certificate {arn}.", status=400)


def invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message, status=400)


def invalid_parameter(message: str) -> ServiceError:
    return ServiceError("InvalidParameterException", message, status=400)


def invalid_arn(arn: str) -> ServiceError:
    return ServiceError("InvalidArnException", f"{arn} is not the ARN of a certificate.", status=400)


def invalid_tag(message: str) -> ServiceError:
    return ServiceError("InvalidTagException", message, status=400)


def too_many_tags(most: int) -> ServiceError:
    return ServiceError("TooManyTagsException", f"A certificate can have at most {most} tags.", status=400)


def invalid_domain_validation(message: str) -> ServiceError:
    return ServiceError("InvalidDomainValidationOptionsException", message, status=400)


def invalid_args(message: str) -> ServiceError:
    return ServiceError("InvalidArgsException", message, status=400)


def invalid_state(message: str) -> ServiceError:
    return ServiceError("InvalidStateException", message, status=400)


def in_use(arn: str) -> ServiceError:
    return ServiceError("ResourceInUseException", f"Certificate {arn} is in use.", status=400)


def too_many(message: str) -> ServiceError:
    return ServiceError("LimitExceededException", message, status=400)


def not_implemented(what: str) -> ServiceError:
    return ServiceError("NotImplemented", f"Not implemented here: {what}.", status=501)
