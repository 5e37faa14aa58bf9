"""Certificate Manager's modelled errors. None ever holds a key."""

from littoral.aws.service import ServiceError, modelled


def not_found(arn: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"Could not find certificate {arn}.", status=400)


invalid = modelled("ValidationException")
invalid_parameter = modelled("InvalidParameterException")


def invalid_arn(arn: str) -> ServiceError:
    return ServiceError("InvalidArnException", f"{arn} is not the ARN of a certificate.", status=400)


invalid_tag = modelled("InvalidTagException")


def too_many_tags(most: int) -> ServiceError:
    return ServiceError("TooManyTagsException", f"A certificate can have at most {most} tags.", status=400)


invalid_domain_validation = modelled("InvalidDomainValidationOptionsException")
invalid_args = modelled("InvalidArgsException")
invalid_state = modelled("InvalidStateException")


def in_use(arn: str) -> ServiceError:
    return ServiceError("ResourceInUseException", f"Certificate {arn} is in use.", status=400)


too_many = modelled("LimitExceededException")


def not_implemented(what: str) -> ServiceError:
    return ServiceError("NotImplemented", f"Not implemented here: {what}.", status=501)
