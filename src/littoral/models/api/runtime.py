"""InvokeEndpoint (botocore's "sagemaker-runtime").

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html. What a model says no to is a
ModelError with the status that a container would have answered, as SageMaker has it.
"""

from __future__ import annotations

from typing import Final

from littoral.aws.service import Call, Output, ServiceError, modelled, operation
from littoral.models.serving.answers import Ask, CannotServe
from littoral.models.serving.book import IN_SERVICE, Book
from littoral.models.serving.server import Server

JSON: Final = "application/json"
FORMS: Final = (JSON, "text/csv", "application/x-npy")  # as ``models.runtime.forms`` reads them


class RuntimeApi:
    def __init__(self, server: Server, book: Book) -> None:
        self._server = server
        self._book = book

    @operation(
        harmless={"CustomAttributes", "InferenceId"},
        notes="bodies: application/json, text/csv, application/x-npy; models take no custom attributes, and nothing is "
        "captured",
    )
    async def invoke_endpoint(
        self,
        call: Call,
        *,
        endpoint_name: str,
        body: bytes = b"",
        content_type: str = JSON,
        accept: str = "",
        target_variant: str = "",
    ) -> Output:
        endpoint = self._book.endpoints.get(endpoint_name)
        if endpoint is None:
            raise _invalid(f"Endpoint {endpoint_name} of account {call.account} not found.")
        if not endpoint.config:
            raise _invalid(f"Endpoint {endpoint_name} is not {IN_SERVICE}: it is {endpoint.status}.")
        chosen = self._book.chosen(endpoint, target_variant)
        if chosen is None:
            raise _invalid(f"Variant {target_variant or 'with a weight'} was not found for endpoint {endpoint_name}.")
        variant, model = chosen
        form, wanted = _forms(content_type, accept)
        try:
            answer = await self._server.infer(self._book.artifact(model), Ask(form, body, wanted))
        except CannotServe as problem:
            raise _refusal(problem) from problem
        return {"Body": answer.body, "ContentType": wanted, "InvokedProductionVariant": variant}


def _forms(content_type: str, accept: str) -> tuple[str, str]:
    """Of the body and of the answer, which is in kind unless something else is accepted. Raises ModelError."""
    form = content_type.partition(";")[0].strip().lower() or JSON
    if form not in FORMS:
        raise _model_error(415, f"a body is one of {', '.join(FORMS)}, not {form}")
    asked = [each.partition(";")[0].strip().lower() for each in accept.split(",") if each.strip()]
    if not asked or "*/*" in asked or form in asked:
        return form, form
    for each in asked:
        if each in FORMS:
            return form, each
    raise _model_error(406, f"an answer is one of {', '.join(FORMS)}, not {accept}")


def _refusal(problem: CannotServe) -> ServiceError:
    if problem.kind == "busy":
        return ServiceError("ServiceUnavailable", str(problem), status=503)
    if problem.kind == "gone":
        return ServiceError("ModelNotReadyException", str(problem), status=429)
    return _model_error(400 if problem.kind == "input" else 500, str(problem))


def _model_error(status: int, message: str) -> ServiceError:
    text = f'Received error ({status}) from the model with message "{message}".'
    return ServiceError(
        "ModelError", text, status=424, fields={"OriginalStatusCode": status, "OriginalMessage": message}
    )


_invalid = modelled("ValidationError")
