"""What Lambda says when it refuses, word for word, through boto3.

Each row was recorded of AWS's own service: snapshots in tests/aws/services/lambda_ of localstack/localstack (2026-03).
"""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.functions.deploy import PYTHON, ROLE
from tests.functions.test_api_errors import CODE, FUNCTION, LAYER, LAYER_ARN, F, client, place  # noqa: F401 - fixtures

INVALID, MISSING, MODEL = "InvalidParameterValueException", "ResourceNotFoundException", "ValidationException"
CONFLICT, STALE = "ResourceConflictException", "PreconditionFailedException"
NONE: dict[str, Any] = {"FunctionName": "none"}
NO_FUNCTION = FUNCTION[:-1] + "none"
NEW: dict[str, Any] = {"FunctionName": "new", "Role": ROLE, "Runtime": PYTHON, "Handler": "app.handler"}
NEW |= {"Code": {"ZipFile": CODE}}
ALIAS: dict[str, Any] = {**F, "Name": "other", "FunctionVersion": "1"}
S3: dict[str, Any] = {"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
REVISION = (
    "The Revision Id provided does not match the latest Revision Id. Call the {} API to retrieve the latest Revision Id"
)
UNQUALIFIED = (
    "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
    "Please specify either a function name or an unqualified function ARN."
)
GONE = "The resource you requested does not exist."
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"

WORDS: list[tuple[str, dict[str, Any], str, int, str]] = [
    # names
    ("get_function", NONE, MISSING, 404, f"Function not found: {NO_FUNCTION}"),
    (
        "create_function",
        {**NEW, "FunctionName": "a" * 65},
        INVALID,
        400,
        f"1 validation error detected: Value '{'a' * 65}' at 'functionName' failed to satisfy constraint: "
        "Member must have length less than or equal to 64",
    ),
    ("delete_function", {**NONE, "Qualifier": "7"}, MISSING, 404, f"Function not found: {NO_FUNCTION}"),
    (
        "get_function",
        {"FunctionName": FUNCTION.replace("us-east-1", "eu-west-1")},
        MISSING,
        404,
        "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    ),
    (
        "get_function",
        {"FunctionName": "f:1", "Qualifier": "2"},
        INVALID,
        400,
        "The derived qualifier from the function name does not match the specified qualifier.",
    ),
    # code
    (
        "create_function",
        {**NEW, "Code": {"ZipFile": b"no zip"}},
        INVALID,
        400,
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
    ),
    (
        "update_function_code",
        {**F, "ImageUri": "000000000000.dkr.ecr.us-east-1.amazonaws.com/x:1"},
        INVALID,
        400,
        "Please don't provide ImageUri when updating a function with packageType Zip.",
    ),
    # configuration
    (
        "create_function",
        {**NEW, "Environment": {"Variables": {"LARGE": "x" * 4096}}},
        INVALID,
        400,
        "Lambda was unable to configure your environment variables because the environment variables you have provided "
        f'exceeded the 4KB limit. String measured: {{"LARGE":"{"x" * 4096}"}}',
    ),
    (
        "create_function",
        {**NEW, "Layers": [LAYER_ARN + ":1"] * 6},
        INVALID,
        400,
        "Cannot reference more than 5 layers.",
    ),
    (
        "create_function",
        {**NEW, "Layers": [LAYER_ARN + ":1", LAYER_ARN + ":2"]},
        INVALID,
        400,
        "Two different versions of the same layer are not allowed to be referenced in the same function. "
        f"{LAYER_ARN}:1 and {LAYER_ARN}:2 are versions of the same layer.",
    ),
    (
        "create_function",
        {**NEW, "Layers": [LAYER_ARN.replace("us-east-1", "eu-west-1") + ":1"]},
        INVALID,
        400,
        "Layers are not in the same region as the function. Layers are expected to be in region us-east-1.",
    ),
    (
        "update_function_code",
        {**F, "ZipFile": CODE, "RevisionId": "x"},
        STALE,
        412,
        REVISION.format("GetFunction/GetAlias"),
    ),
    ("update_function_configuration", {**F, "RevisionId": "x"}, STALE, 412, REVISION.format("GetFunction/GetAlias")),
    ("publish_version", {**F, "RevisionId": "x"}, STALE, 412, REVISION.format("GetFunction/GetAlias")),
    # aliases
    (
        "create_alias",
        {**ALIAS, "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}},
        INVALID,
        400,
        "Invalid function version 1. Function version 1 is already included in routing configuration.",
    ),
    (
        "create_alias",
        {**ALIAS, "RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5, "2": 0.5}}},
        INVALID,
        400,
        "Number of items in AdditionalVersionWeights cannot be greater than 1",
    ),
    (
        "create_alias",
        {**ALIAS, "RoutingConfig": {"AdditionalVersionWeights": {"$LATEST": 0.5}}},
        MODEL,
        400,
        "1 validation error detected: Value '{$LATEST=0.5}' at 'routingConfig.additionalVersionWeights' failed to "
        "satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 1024, "
        "Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]",
    ),
    ("create_alias", {**ALIAS, **NONE}, MISSING, 404, f"Function not found: {NO_FUNCTION}:1"),
    ("update_alias", {**F, "Name": "none"}, MISSING, 404, f"Alias not found: {FUNCTION}:none"),
    ("get_alias", {**F, "Name": "none"}, MISSING, 404, f"Cannot find alias arn: {FUNCTION}:none"),
    ("update_alias", {**F, "Name": "live", "RevisionId": "x"}, STALE, 412, REVISION.format("GetFunction/GetAlias")),
    # policies
    (
        "add_permission",
        {**F, **S3, "Qualifier": "$LATEST"},
        INVALID,
        400,
        "We currently do not support adding policies for $LATEST.",
    ),
    (
        "add_permission",
        {**F, **S3, "Principal": "nobody"},
        INVALID,
        400,
        "The provided principal was invalid. Please check the principal and try again.",
    ),
    ("add_permission", {**F, **S3, "Qualifier": "none"}, MISSING, 404, f"Cannot find alias arn: {FUNCTION}:none"),
    ("add_permission", {**F, **S3, "Qualifier": "42"}, MISSING, 404, f"Function not found: {FUNCTION}:42"),
    ("add_permission", {**F, **S3, "RevisionId": "x"}, STALE, 412, REVISION.format("GetPolicy")),
    ("get_policy", NONE, MISSING, 404, GONE),
    ("get_policy", {**F, "Qualifier": "9"}, MISSING, 404, GONE),
    ("remove_permission", {**NONE, "StatementId": "s"}, MISSING, 404, f"No policy found for: {NO_FUNCTION}"),
    (
        "remove_permission",
        {**F, "StatementId": "s", "Qualifier": "none"},
        MISSING,
        404,
        f"Cannot find alias arn: {FUNCTION}:none",
    ),
    (
        "remove_permission",
        {**F, "StatementId": "s", "Qualifier": "1"},
        MISSING,
        404,
        "No policy is associated with the given resource.",
    ),
    # layers
    ("get_layer_version", {"LayerName": "l", "VersionNumber": 0}, INVALID, 400, "Layer Version Cannot be less than 1"),
    (
        "delete_layer_version",
        {"LayerName": "l", "VersionNumber": -1},
        INVALID,
        400,
        "Layer Version Cannot be less than 1",
    ),
    ("get_layer_version", {"LayerName": "none", "VersionNumber": 1}, MISSING, 404, GONE),
    (
        "get_layer_version_policy",
        {"LayerName": "l", "VersionNumber": 9},
        MISSING,
        404,
        f"Layer version {LAYER_ARN}:9 does not exist.",
    ),
    (
        "remove_layer_version_permission",
        {"LayerName": "l", "VersionNumber": 1, "StatementId": "s", "RevisionId": "x"},
        STALE,
        412,
        REVISION.format("GetLayerPolicy"),
    ),
    # concurrency
    (
        "put_function_concurrency",
        {**NONE, "ReservedConcurrentExecutions": 1},
        MISSING,
        404,
        f"Function not found: {NO_FUNCTION}:$LATEST",
    ),
    ("put_function_concurrency", {"FunctionName": "f:1", "ReservedConcurrentExecutions": 1}, INVALID, 400, UNQUALIFIED),
    (
        "get_provisioned_concurrency_config",
        {**F, "Qualifier": "none"},
        MISSING,
        404,
        f"Cannot find alias arn: {FUNCTION}:none",
    ),
    (
        "get_provisioned_concurrency_config",
        {**F, "Qualifier": "10"},
        MISSING,
        404,
        f"Function not found: {FUNCTION}:10",
    ),
    (
        "delete_provisioned_concurrency_config",
        {**F, "Qualifier": "$LATEST"},
        INVALID,
        400,
        "The function resource provided must be an alias or a published version.",
    ),
    (
        "put_provisioned_concurrency_config",
        {**F, "Qualifier": "$LATEST", "ProvisionedConcurrentExecutions": 1},
        INVALID,
        400,
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
    ),
    (
        "put_provisioned_concurrency_config",
        {**F, "Qualifier": "1", "ProvisionedConcurrentExecutions": 21},
        INVALID,
        400,
        "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [20].",
    ),
    (
        "put_provisioned_concurrency_config",
        {**F, "Qualifier": "1", "ProvisionedConcurrentExecutions": 19},
        INVALID,
        400,
        "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
        "minimum value of [2].",
    ),
    # asynchronous events
    (
        "put_function_event_invoke_config",
        {**NONE, "MaximumRetryAttempts": 1},
        MISSING,
        404,
        "The function doesn't exist.",
    ),
    (
        "put_function_event_invoke_config",
        {**F, "Qualifier": "none", "MaximumRetryAttempts": 1},
        MISSING,
        404,
        "The function doesn't exist.",
    ),
    ("list_function_event_invoke_configs", NONE, MISSING, 404, "The function doesn't exist."),
    (
        "get_function_event_invoke_config",
        NONE,
        MISSING,
        404,
        f"The function {NO_FUNCTION}:$LATEST doesn't have an EventInvokeConfig",
    ),
    (
        "put_function_event_invoke_config",
        F,
        INVALID,
        400,
        "You must specify at least one of error handling or destination setting.",
    ),
    (
        "put_function_event_invoke_config",
        {**F, "DestinationConfig": {"OnSuccess": {"Destination": NO_FUNCTION}}},
        INVALID,
        400,
        f"The destination ARN {NO_FUNCTION} is invalid.",
    ),
    (
        "put_function_event_invoke_config",
        {**F, "DestinationConfig": {"OnSuccess": {"Destination": FUNCTION}}},
        INVALID,
        400,
        "You can't specify the function as a destination for itself.",
    ),
    # tags
    (
        "tag_resource",
        {"Resource": FUNCTION + ":$LATEST", "Tags": {"a": "b"}},
        INVALID,
        400,
        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    ),
    (
        "tag_resource",
        {"Resource": FUNCTION, "Tags": {}},
        INVALID,
        400,
        "An error occurred and the request cannot be processed.",
    ),
    (
        "tag_resource",
        {"Resource": FUNCTION, "Tags": {f"k{number}": "v" for number in range(51)}},
        INVALID,
        400,
        "Number of tags exceeds resource tag limit.",
    ),
    # event sources
    ("create_event_source_mapping", F, INVALID, 400, "Unrecognized event source."),
    ("create_event_source_mapping", {**NONE, "EventSourceArn": STREAM}, INVALID, 400, "Function does not exist"),
    ("get_event_source_mapping", {"UUID": "b4a0dbd3-1b64-4d7a-8a33-61ec0d7d2c51"}, MISSING, 404, GONE),
    # URLs
    ("create_function_url_config", {**NONE, "AuthType": "NONE"}, MISSING, 404, "Function does not exist"),
    ("update_function_url_config", {**NONE, "AuthType": "NONE"}, MISSING, 404, "Function does not exist"),
    ("list_function_url_configs", NONE, MISSING, 404, "Function does not exist"),
    ("get_function_url_config", NONE, MISSING, 404, GONE),
    ("update_function_url_config", {**F, "AuthType": "NONE"}, MISSING, 404, GONE),
    ("delete_function_url_config", {**F, "Qualifier": "none"}, MISSING, 404, GONE),
]


@pytest.mark.parametrize(
    ("operation", "given", "code", "status", "words"),
    [pytest.param(*each, id=f"{number}-{each[0]}") for number, each in enumerate(WORDS)],
)
def test_the_words_are_awss(
    client: Any,  # noqa: F811 - the fixture
    operation: str,
    given: dict[str, Any],
    code: str,
    status: int,
    words: str,
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**given)
    response = caught.value.response
    said = response["Error"]
    assert (said["Code"], response["ResponseMetadata"]["HTTPStatusCode"], said["Message"]) == (code, status, words)


QUALIFIED = ("update_function_code", "publish_version", "list_aliases", "list_versions_by_function", "create_alias")


@pytest.mark.parametrize("operation", QUALIFIED)
def test_what_is_of_a_function_alone_takes_no_qualifier(client: Any, operation: str) -> None:  # noqa: F811
    more: dict[str, Any] = {"update_function_code": {"ZipFile": LAYER}, "create_alias": {**ALIAS, "Name": "q"}}
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**{**more.get(operation, {}), "FunctionName": "f:1"})
    assert caught.value.response["Error"]["Message"] == UNQUALIFIED
