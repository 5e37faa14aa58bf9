"""Snowball's modelled errors."""

from __future__ import annotations

from littoral.aws.service import ServiceError


def not_found(kind: str, name: str) -> ServiceError:
    message = "The specified resource can't be found. Check the information you provided in your last request, and try"
    return ServiceError(
        "InvalidResourceException", f"{message} again. ({kind}: {name[:300]})", fields={"ResourceType": kind}
    )


def wrong_state(message: str) -> ServiceError:
    return ServiceError("InvalidJobStateException", message)


def wrong_combination(message: str) -> ServiceError:
    return ServiceError("InvalidInputCombinationException", message)


def wrong_address(message: str) -> ServiceError:
    return ServiceError("InvalidAddressException", message)


def wrong_token() -> ServiceError:
    return ServiceError("InvalidNextTokenException", "The NextToken string was altered unexpectedly.")


def key_refused(arn: str, why: str) -> ServiceError:
    return ServiceError("KMSRequestFailedException", f"The key {arn} cannot be used: {why}")
