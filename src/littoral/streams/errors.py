"""Kinesis' modelled errors."""

from littoral.aws.service import modelled

invalid = modelled("InvalidArgumentException")
not_found = modelled("ResourceNotFoundException")
in_use = modelled("ResourceInUseException")
too_many = modelled("LimitExceededException")
internal = modelled("InternalFailureException", 500)
