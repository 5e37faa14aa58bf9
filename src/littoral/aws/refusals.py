"""Why a request's signature is refused, in the words of S3 and in those of every other service."""

from __future__ import annotations

from littoral.aws import models
from littoral.aws.service import ServiceError

UNMODELLED = frozenset(("littoral",))  # our own addresses, signed like a service's

# what went wrong: (code, message, status) for S3, and for every other service
_S3 = {
    "malformed": ("AuthorizationHeaderMalformed", "The authorization header is malformed", 400),
    "malformed query": ("AuthorizationQueryParametersError", "Error parsing the query parameters", 400),
    "unknown key": ("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403),
    "wrong signature": (
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        403,
    ),
    "wrong hash": (
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
        400,
    ),
    "skew": (
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
        403,
    ),
    "expired": ("AccessDenied", "Request has expired", 403),
    "not yet": ("AccessDenied", "Request is not valid yet", 403),
    "session over": ("ExpiredToken", "The provided token has expired.", 400),
}
_OTHERS = {
    "malformed": ("IncompleteSignatureException", "The request signature does not conform to AWS standards", 400),
    "malformed query": ("IncompleteSignatureException", "The request signature does not conform to AWS standards", 400),
    "unknown key": ("UnrecognizedClientException", "The security token included in the request is invalid.", 403),
    "wrong signature": (
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method.",
        403,
    ),
    "wrong hash": ("InvalidSignatureException", "The body does not match the signed hash.", 403),
    "skew": (
        "InvalidSignatureException",
        "Signature expired or not yet current: check the clock of this machine.",
        403,
    ),
    "expired": ("InvalidSignatureException", "Signature expired", 403),
    "not yet": ("InvalidSignatureException", "Signature not yet current", 403),
    "session over": ("ExpiredTokenException", "The security token included in the request is expired", 403),
}


# the query protocol's names for what the others call …Exception
_QUERY = {
    "IncompleteSignatureException": "IncompleteSignature",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "ExpiredTokenException": "ExpiredToken",
}


def refusal(service: str, what: str, detail: str = "") -> ServiceError:
    code, message, status = (_S3 if service == "s3" else _OTHERS)[what]
    if service not in UNMODELLED and models.protocol(service) == "query":
        code = _QUERY[code]
    return ServiceError(code, f"{message}; {detail}" if detail else message, status=status)


def malformed_trailer() -> ServiceError:
    message = "The request contained trailing data that was not well-formed or did not conform to our published schema."
    return ServiceError("MalformedTrailerError", message, status=400)
