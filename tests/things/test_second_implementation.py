"""The same calls of boto3 to this place and to moto's server, an independent implementation of AWS's IoT: the same keys
and types, the same errors and statuses. Where they differ, ``DIFFERENT`` says in what, and why ours is as it is by
botocore's model and AWS's reference. Skipped where moto is not installed: ``make peers`` brings it (50 MB)."""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.things.place import Place, running
from tests.things.second_steps import OF_SHADOWS, STEPS, Answers, Members

MOTO = "5.2.5"  # as the Makefile has it
FEWER = "moto leaves out what the model has and AWS gives"
WRONG = "moto does not refuse what AWS refuses"
OPTIONAL = "not required by the model, and here there is nothing to say"
CODE = "the operation's model has this error"
QUEUED = "the execution is queued: it has not started, and it has no timer; it has a number of attempts"
BROKEN = "moto fails by its own fault"

DIFFERENT: dict[str, tuple[str, list[str], list[str]]] = {
    # what was called: why, what only ours has, what only moto's has
    "create_thing_type": (FEWER, ["thingTypeId str"], []),
    "create_thing_type again": (
        WRONG,
        ["ResourceAlreadyExistsException 409"],
        ["thingTypeArn str", "thingTypeName str"],
    ),
    "describe_thing_type": (
        FEWER,
        [".thingTypeProperties.searchableAttributes[]", "thingTypeProperties.thingTypeDescription str"],
        [".thingTypeProperties{}"],
    ),
    "list_thing_types": (
        FEWER,
        [
            ".thingTypes[].thingTypeProperties.searchableAttributes[]",
            "thingTypes[].thingTypeProperties.thingTypeDescription str",
        ],
        [".thingTypes[].thingTypeProperties{}"],
    ),
    "create_thing otherwise": (
        WRONG,
        ["ResourceAlreadyExistsException 409"],
        ["thingArn str", "thingId str", "thingName str"],
    ),
    "describe_thing": (FEWER, ["thingTypeName str"], []),
    "list_things": (FEWER, ["things[].thingTypeName str"], []),
    "list_things of a type": (
        FEWER,
        [
            "things[].attributes.bed str",
            "things[].attributes.ward str",
            "things[].thingArn str",
            "things[].thingName str",
            "things[].thingTypeName str",
            "things[].version int",
        ],
        [".things[]"],
    ),
    "create_thing_group in none": (BROKEN, ["ResourceNotFoundException 404"], ["500 500"]),
    "describe_billing_group": (FEWER, ["version int"], []),
    "describe_certificate": (
        FEWER,
        [
            "certificateDescription.caCertificateId str",
            "certificateDescription.certificateMode str",
            "certificateDescription.customerVersion int",
            "certificateDescription.generationId str",
        ],
        [".certificateDescription.transferData{}"],
    ),
    "list_certificates": (FEWER, ["certificates[].certificateMode str"], []),
    "get_policy": (FEWER, ["creationDate time", "generationId str", "lastModifiedDate time"], []),
    "delete_policy_version of the default": (CODE, ["DeleteConflictException 409"], ["InvalidRequestException 400"]),
    "list_thing_principals_v2": (FEWER, ["thingPrincipalObjects[].thingPrincipalType str"], []),
    "create_job again": (WRONG, ["ResourceAlreadyExistsException 409"], ["jobArn str", "jobId str"]),
    "describe_job": (
        FEWER,
        ["job.isConcurrent bool", "job.jobProcessDetails.numberOfTimedOutThings int", "job.targetSelection str"],
        ["job.forceCanceled bool"],
    ),
    "list_jobs": (FEWER, ["jobs[].isConcurrent bool", "jobs[].targetSelection str"], []),
    "describe_job_execution": (
        QUEUED,
        [],
        ["execution.approximateSecondsBeforeTimedOut int", "execution.startedAt time"],
    ),
    "list_job_executions_for_job": (
        QUEUED,
        ["executionSummaries[].jobExecutionSummary.retryAttempt int"],
        ["executionSummaries[].jobExecutionSummary.startedAt time"],
    ),
    "list_job_executions_for_thing": (
        QUEUED,
        ["executionSummaries[].jobExecutionSummary.retryAttempt int"],
        ["executionSummaries[].jobExecutionSummary.startedAt time"],
    ),
    "cancel_job of none": (BROKEN, ["ResourceNotFoundException 404"], ["500 500"]),
    "get_topic_rule": (OPTIONAL, [], [".rule.errorAction{}", "rule.description str"]),
    "get_topic_rule of none": (CODE, ["UnauthorizedException 401"], ["ResourceNotFoundException 404"]),
    "get_indexing_configuration": (
        OPTIONAL,
        [],
        [
            ".thingGroupIndexingConfiguration.customFields[]",
            ".thingGroupIndexingConfiguration.managedFields[]",
            ".thingIndexingConfiguration.customFields[]",
            ".thingIndexingConfiguration.filter.geoLocations[]",
            ".thingIndexingConfiguration.filter.namedShadowNames[]",
            ".thingIndexingConfiguration.managedFields[]",
            "thingIndexingConfiguration.deviceDefenderIndexingMode str",
            "thingIndexingConfiguration.namedShadowIndexingMode str",
            "thingIndexingConfiguration.thingConnectivityIndexingMode str",
        ],
    ),
    "delete_thing_type that is used": (WRONG, ["InvalidRequestException 400"], ["{}"]),
    "get_thing_shadow": (FEWER, ["payload.metadata.delta.rate.timestamp int"], []),
    "list_named_shadows_for_thing": (FEWER, ["timestamp int"], []),
    "delete_thing_shadow of none": (
        WRONG,
        ["ResourceNotFoundException 404"],
        ["payload.timestamp int", "payload.version int"],
    ),
    "deprecate_thing_type": (WRONG, ["{}"], ["ResourceNotFoundException 404"]),
}


def shape(value: Any) -> Any:
    """Keys and types; of a list the first member's."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if hasattr(value, "read"):
        return shape(json.loads(value.read() or b"null"))
    return "time" if isinstance(value, datetime.datetime) else type(value).__name__


def flat(made: Any, path: str = "") -> set[str]:
    """Every leaf of an answer, with the way to it: keys and types, of a list the first member's; or the error."""
    if isinstance(made, tuple):
        return {f"{made[0]} {made[1]}"}
    if isinstance(made, dict):
        return set().union(*(flat(each, f"{path}.{key}") for key, each in made.items())) if made else {path + "{}"}
    if isinstance(made, list):
        return flat(made[0], path + "[]") if made else {path + "[]"}
    return {f"{path} {made}".lstrip(".")}


def played(client: Any, steps: list[tuple[str, Members, str]], answers: Answers) -> dict[str, Any]:
    """What became of each step."""
    found: dict[str, Any] = {}
    for operation, members, name in steps:
        try:
            given = members(answers) if callable(members) else members
            answer = getattr(client, operation)(**given)
        except ClientError as problem:
            error = problem.response
            found[name or operation] = (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"])
            continue
        answer.pop("ResponseMetadata")
        answers[name or operation] = answer
        found[name or operation] = shape(answer)
    return found


@pytest.fixture(scope="module")
def moto_address() -> Iterator[str]:
    moto = pytest.importorskip("moto.server", reason="moto is not installed: make peers")
    if (there := pytest.importorskip("moto").__version__) != MOTO:
        pytest.skip(f"what is written here is of moto {MOTO}, not {there}")
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as place:
        yield place


def of_moto(address: str, service: str) -> Any:
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    return boto3.client(service, endpoint_url=address, config=Config(retries={"total_max_attempts": 1}), **keys)


def test_control_calls_and_shadows_answer_as_moto_s_do(moto_address: str, here: Place) -> None:
    ours_kept: Answers = {}
    theirs_kept: Answers = {}
    ours = played(here.client("iot"), STEPS[:-3], ours_kept) | played(here.client("iot-data"), OF_SHADOWS, ours_kept)
    ours |= played(here.client("iot"), STEPS[-3:], ours_kept)
    theirs = played(of_moto(moto_address, "iot"), STEPS[:-3], theirs_kept)
    theirs |= played(of_moto(moto_address, "iot-data"), OF_SHADOWS, theirs_kept)
    theirs |= played(of_moto(moto_address, "iot"), STEPS[-3:], theirs_kept)
    found = {name: (flat(each), flat(theirs[name])) for name, each in ours.items() if each != theirs[name]}
    different = {name: (sorted(a - b), sorted(b - a)) for name, (a, b) in found.items()}
    assert different == {name: (ours_only, theirs_only) for name, (_, ours_only, theirs_only) in DIFFERENT.items()}
    assert len(ours) == 120
