"""The Lambda API called directly: configuration, versions, aliases, policies, limits, and the errors of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.service import ServiceError
from tests.functions.deploy import NODE, PYTHON, ROLE, Place, call, place_in, zip_of

ECHO = "def handler(e, c): return [c.function_version, c.invoked_function_arn]"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


async def refused(code: str, work: Awaitable[Any], match: str | None = None) -> ServiceError:
    with pytest.raises(ServiceError, match=match) as caught:
        await work
    assert caught.value.code == code
    return caught.value


# ------------------------------------------------------------------------------------------ functions


async def test_a_created_function_is_shown_as_lambda_shows_it(place: Place) -> None:
    shown = await place.python(
        ECHO,
        description="echo",
        timeout=7,
        memory_size=256,
        environment={"Variables": {"A1": "x"}},
        tags={"team": "ward"},
        ephemeral_storage={"Size": 1024},
        architectures=["arm64"],
    )
    assert shown == await place.api.get_function_configuration(call(), function_name="f")
    assert shown["FunctionArn"] == ARN and shown["Version"] == "$LATEST"
    assert (shown["State"], shown["LastUpdateStatus"], shown["PackageType"]) == ("Active", "Successful", "Zip")
    assert (shown["Timeout"], shown["MemorySize"], shown["Description"]) == (7, 256, "echo")
    assert shown["Environment"] == {"Variables": {"A1": "x"}}
    assert shown["EphemeralStorage"] == {"Size": 1024} and shown["Architectures"] == ["arm64"]
    assert shown["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"}
    assert (await place.api.get_function(call(), function_name=ARN))["Tags"] == {"team": "ward"}


CREATE_ERRORS: list[tuple[str, dict[str, Any], str, str]] = [
    ("role", {"role": "admin"}, "ValidationException", "role"),
    ("timeout", {"timeout": 901}, "ValidationException", "timeout"),
    ("memory", {"memory_size": 127}, "ValidationException", "memorySize"),
    ("storage", {"ephemeral_storage": {"Size": 511}}, "ValidationException", "ephemeralStorage"),
    ("handler", {"handler": "two words"}, "ValidationException", "handler"),
    ("description", {"description": "x" * 257}, "ValidationException", "description"),
    ("name", {"function_name": "x" * 65}, "InvalidParameterValueException", "or equal to 64"),
    ("name characters", {"function_name": "a b"}, "ValidationException", "functionName"),
    ("qualified", {"function_name": "f:1"}, "InvalidParameterValueException", "without a qualifier"),
    ("region", {"function_name": ARN.replace("us-east-1", "eu-west-1")}, "ResourceNotFoundException", "not reachable"),
    ("no runtime", {"runtime": None}, "InvalidParameterValueException", "mandatory"),
    ("java", {"runtime": "java25"}, "InvalidParameterValueException", "The runtime java25 is not served here"),
    ("ruby", {"runtime": "ruby3.3"}, "InvalidParameterValueException", "ruby3.3.*that Littoral serves"),
    ("old python", {"runtime": "python3.9"}, "InvalidParameterValueException", "python3.9"),
    ("reserved", {"environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException", "AWS_REGION"),
    ("big", {"environment": {"Variables": {"AB": "x" * 4096}}}, "InvalidParameterValueException", "4KB"),
    ("variable", {"environment": {"Variables": {"1A": "x"}}}, "ValidationException", "environment"),
    ("vpc", {"vpc_config": {"SubnetIds": ["s"]}}, "InvalidParameterValueException", "VpcConfig is not served"),
    ("layers", {"layers": ["arn"]}, "InvalidParameterValueException", "Invalid layer version ARN"),
    ("image", {"package_type": "Image"}, "InvalidParameterValueException", "Container images"),
    ("image uri", {"code": {"ImageUri": "x"}}, "InvalidParameterValueException", "Container images"),
    ("snapshot", {"snap_start": {"ApplyOn": "PublishedVersions"}}, "InvalidParameterValueException", "SnapStart"),
    ("level", {"logging_config": {"SystemLogLevel": "WARN"}}, "InvalidParameterValueException", "LogFormat is JSON"),
    ("dead letters", {"dead_letter_config": {"TargetArn": "x"}}, "InvalidParameterValueException", "not served by"),
    ("files", {"file_system_configs": [{"Arn": "x"}]}, "InvalidParameterValueException", "FileSystemConfigs"),
    ("tag", {"tags": {"aws:x": "y"}}, "InvalidParameterValueException", "tag key"),
    ("arch", {"architectures": ["sparc"]}, "ValidationException", "architectures"),
]


@pytest.mark.parametrize(("given", "code", "match"), [pytest.param(*each[1:], id=each[0]) for each in CREATE_ERRORS])
async def test_what_lambda_refuses_at_creation(place: Place, given: dict[str, Any], code: str, match: str) -> None:
    arguments: dict[str, Any] = {
        "function_name": "f",
        "role": ROLE,
        "runtime": PYTHON,
        "handler": "app.handler",
        "code": {"ZipFile": zip_of(app__py=ECHO)},
    } | given
    await refused(code, place.api.create_function(call(), **arguments), match)
    assert (await place.api.list_functions(call()))["Functions"] == []


async def test_members_that_ask_for_nothing_are_taken(place: Place) -> None:
    await place.python(
        ECHO,
        vpc_config={"SubnetIds": [], "SecurityGroupIds": []},
        layers=[],
        tracing_config={"Mode": "PassThrough"},
        snap_start={"ApplyOn": "None"},
        dead_letter_config={"TargetArn": ""},
    )
    assert (await place.invoke()).error is None


async def test_a_name_is_taken_once_and_unknown_ones_are_not_found(place: Place) -> None:
    await place.python(ECHO)
    error = await refused("ResourceConflictException", place.python(ECHO), "Function already exist: f")
    assert (error.status, error.fields["Type"]) == (409, "User")
    missing = f"Function not found: {ARN}x"
    await refused("ResourceNotFoundException", place.api.get_function(call(), function_name="fx"), missing)
    await refused("ResourceNotFoundException", place.api.delete_function(call(), function_name="fx"), missing)
    await refused("ResourceNotFoundException", place.invoke(name="fx"), missing)
    await refused("ResourceNotFoundException", place.invoke(name="f:9"), f"{ARN}:9")
    await refused("ResourceNotFoundException", place.invoke(name="f:live"), f"{ARN}:live")
    await refused("InvalidParameterValueException", place.invoke(name="f:1", qualifier="2"), "derived qualifier")


async def test_every_way_to_name_a_function_works(place: Place) -> None:
    await place.python(ECHO)
    for name in ("f", ARN, "000000000000:function:f", "function:f", f"{ARN}:$LATEST"):
        assert (await place.invoke(name=name)).result[0] == "$LATEST"


async def test_lists_come_in_pages(place: Place) -> None:
    for number in range(5):
        await place.python(ECHO, f"f{number}")
    seen: list[str] = []
    marker = None
    while True:
        page = await place.api.list_functions(call(), marker=marker, max_items=2)
        seen += [each["FunctionName"] for each in page["Functions"]]
        assert len(page["Functions"]) <= 2
        if (marker := page.get("NextMarker")) is None:
            break
    assert seen == [f"f{number}" for number in range(5)]
    await refused("InvalidParameterValueException", place.api.list_functions(call(), marker="!"), "Marker")


async def test_new_code_and_configuration_are_what_runs_next(place: Place) -> None:
    before = await place.python("def handler(e, c): return 'old'")
    assert (await place.invoke()).result == "old"
    changed = await place.api.update_function_code(
        call(), function_name="f", zip_file=zip_of(app__py="def handler(e, c): return 'new'\ndef b(e, c): return 'b'")
    )
    assert changed["CodeSha256"] != before["CodeSha256"] and changed["RevisionId"] != before["RevisionId"]
    assert (await place.invoke()).result == "new"
    changed = await place.api.update_function_configuration(
        call(), function_name="f", handler="app.b", environment={"Variables": {}}, timeout=9
    )
    assert (changed["Handler"], changed["Timeout"]) == ("app.b", 9)
    assert (await place.invoke()).result == "b"
    assert place.functions.stats()["idle"] == 1


async def test_a_dry_run_of_code_changes_nothing(place: Place) -> None:
    before = await place.python(ECHO)
    archive = zip_of(app__py="def handler(e, c): return 'new'")
    shown = await place.api.update_function_code(call(), function_name="f", zip_file=archive, dry_run=True)
    assert shown["CodeSha256"] != before["CodeSha256"]
    assert await place.api.get_function_configuration(call(), function_name="f") == before


async def test_a_stale_revision_is_refused(place: Place) -> None:
    shown = await place.python(ECHO)
    api = place.api
    stale = {"function_name": "f", "revision_id": "not-it"}
    await refused("PreconditionFailedException", api.update_function_configuration(call(), timeout=5, **stale))
    await refused("PreconditionFailedException", api.update_function_code(call(), zip_file=b"x", **stale))
    await refused("PreconditionFailedException", api.publish_version(call(), **stale))
    await api.update_function_configuration(call(), function_name="f", timeout=5, revision_id=shown["RevisionId"])


async def test_all_of_it_survives_a_restart(tmp_path: Path) -> None:
    async with place_in(tmp_path) as place:
        await place.python(ECHO, tags={"a": "b"})
        await place.api.publish_version(call(), function_name="f")
        await place.api.create_alias(call(), function_name="f", name="live", function_version="1")
        await place.api.put_function_concurrency(call(), function_name="f", reserved_concurrent_executions=2)
        before = await place.api.get_function(call(), function_name="f", qualifier="1")
    async with place_in(tmp_path) as place:
        after = await place.api.get_function(call(), function_name="f", qualifier="1")
        assert after["Configuration"] == before["Configuration"] and after["Tags"] == {"a": "b"}
        assert after["Concurrency"] == {"ReservedConcurrentExecutions": 2}
        assert (await place.invoke(name="f:live")).result == ["1", f"{ARN}:live"]


# ------------------------------------------------------------------------------------------ versions and aliases


async def test_versions_are_numbered_immutable_and_not_repeated(place: Place) -> None:
    first = await place.python("def handler(e, c): return [1, c.function_version]", publish=True)
    assert (first["Version"], first["FunctionArn"]) == ("1", f"{ARN}:1")
    again = await place.api.publish_version(call(), function_name="f")
    assert again["Version"] == "1"  # nothing has changed since
    archive = zip_of(app__py="def handler(e, c): return [2, c.function_version]")
    await place.api.update_function_code(call(), function_name="f", zip_file=archive)
    second = await place.api.publish_version(call(), function_name="f", description="second")
    assert (second["Version"], second["Description"]) == ("2", "second")
    assert (await place.invoke(name="f:1")).result == [1, "1"]
    assert (await place.invoke(name="f", qualifier="2")).result == [2, "2"]
    assert (await place.invoke(name="f")).result == [2, "$LATEST"]
    listed = (await place.api.list_versions_by_function(call(), function_name="f"))["Versions"]
    assert [each["Version"] for each in listed] == ["$LATEST", "1", "2"]
    await refused(
        "InvalidParameterValueException",
        place.api.publish_version(call(), function_name="f", code_sha256="x"),
        "different from current CodeSHA256",
    )


async def test_a_deleted_version_is_gone_and_its_number_is_not_reused(tmp_path: Path) -> None:
    async with place_in(tmp_path) as place:
        await place.python(ECHO, publish=True)
        await place.api.create_alias(call(), function_name="f", name="live", function_version="1")
        api = place.api
        await refused(
            "ResourceConflictException", api.delete_function(call(), function_name="f", qualifier="1"), "live"
        )
        await refused("InvalidParameterValueException", api.delete_function(call(), function_name="f:$LATEST"))
        await refused("InvalidParameterValueException", api.delete_function(call(), function_name="f:live"))
        await api.delete_alias(call(), function_name="f", name="live")
        await api.delete_function(call(), function_name="f", qualifier="1")
        await refused("ResourceNotFoundException", place.invoke(name="f:1"))
    async with place_in(tmp_path) as place:
        assert (await place.api.publish_version(call(), function_name="f"))["Version"] == "2"


async def test_an_alias_leads_to_its_version_and_may_share_the_calls(place: Place) -> None:
    await place.python(ECHO, publish=True)
    await place.api.update_function_configuration(call(), function_name="f", timeout=5)
    await place.api.publish_version(call(), function_name="f")
    made = await place.api.create_alias(call(), function_name="f", name="live", function_version="1", description="d")
    assert made["AliasArn"] == f"{ARN}:live"
    assert made == await place.api.get_alias(call(), function_name="f", name="live")
    assert (await place.invoke(name="f:live")).result == ["1", f"{ARN}:live"]
    weighted = await place.api.update_alias(
        call(), function_name="f", name="live", routing_config={"AdditionalVersionWeights": {"2": 0.5}}
    )
    assert weighted["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.5}}
    drawn = Counter([(await place.invoke(name="f:live")).version for _ in range(60)])
    assert set(drawn) == {"1", "2"}  # one of them missing has a chance of 2 in 2^60
    moved = await place.api.update_alias(
        call(), function_name="f", name="live", function_version="2", routing_config={}
    )
    assert moved["FunctionVersion"] == "2" and "RoutingConfig" not in moved
    assert (await place.api.list_aliases(call(), function_name="f"))["Aliases"] == [moved]
    assert (await place.api.list_aliases(call(), function_name="f", function_version="1"))["Aliases"] == []


async def test_aliases_that_cannot_be(place: Place) -> None:
    await place.python(ECHO, publish=True)
    api = place.api

    def create(name: str, version: str, **more: Any) -> Awaitable[Any]:
        return api.create_alias(call(), function_name="f", name=name, function_version=version, **more)

    await refused("ResourceNotFoundException", create("live", "7"), f"{ARN}:7")
    await refused("ValidationException", create("123", "1"), "name")
    await create("live", "1")
    await refused("ResourceConflictException", create("live", "1"), "Alias already exists")
    two = {"AdditionalVersionWeights": {"2": 0.1, "3": 0.1}}
    await refused("InvalidParameterValueException", create("x", "1", routing_config=two))
    self_weight = {"AdditionalVersionWeights": {"1": 0.1}}
    await refused("InvalidParameterValueException", create("x", "1", routing_config=self_weight))
    await refused("InvalidParameterValueException", create("x", "$LATEST", routing_config=self_weight), "LATEST")
    await refused("ResourceNotFoundException", api.get_alias(call(), function_name="f", name="no"), "Cannot find alias")
    stale = api.update_alias(call(), function_name="f", name="live", revision_id="x")
    await refused("PreconditionFailedException", stale)


# ------------------------------------------------------------------------------------------ the rest


async def test_a_dry_run_checks_and_runs_nothing(place: Place) -> None:
    await place.python(ECHO)
    assert await place.api.invoke(call(), function_name="f", invocation_type="DryRun") == {"StatusCode": 204}
    assert place.functions.stats()["cold"] == 0
    dry = place.api.invoke(call(), function_name="g", invocation_type="DryRun")
    await refused("ResourceNotFoundException", dry)


async def test_no_payload_is_an_empty_object(place: Place) -> None:
    await place.python("def handler(e, c): return e")
    assert (await place.api.invoke(call(), function_name="f"))["Payload"] == b"{}"
    for context in ("{}", "AAAA", "e30"):
        bad = place.api.invoke(call(), function_name="f", client_context=context)
        await refused("InvalidRequestContentException", bad, "Client context")


async def test_permissions_are_kept_shown_and_asked(place: Place) -> None:
    await place.python(ECHO)
    api = place.api
    await refused("ResourceNotFoundException", api.get_policy(call(), function_name="f"))
    added = await api.add_permission(
        call(),
        function_name="f",
        statement_id="s3",
        action="lambda:InvokeFunction",
        principal="s3.amazonaws.com",
        source_arn="arn:aws:s3:::ward-*",
        source_account="000000000000",
    )
    statement = json.loads(added["Statement"])
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"} and statement["Resource"] == ARN
    assert statement["Condition"] == {
        "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::ward-*"},
        "StringEquals": {"AWS:SourceAccount": "000000000000"},
    }
    policy = await api.get_policy(call(), function_name="f")
    assert json.loads(policy["Policy"])["Statement"] == [statement]

    def may(service: str, arn: str | None, account: str | None = "000000000000") -> bool:
        return place.functions.may_invoke("f", service=service, source_arn=arn, source_account=account)

    assert may("s3.amazonaws.com", "arn:aws:s3:::ward-7")
    assert not may("s3.amazonaws.com", "arn:aws:s3:::other")
    assert not may("s3.amazonaws.com", None)
    assert not may("s3.amazonaws.com", "arn:aws:s3:::ward-7", "111111111111")
    assert may("s3.amazonaws.com", "arn:aws:s3:::ward-7", None)  # of the place's own account, as all its sources are
    assert not may("iot.amazonaws.com", "arn:aws:s3:::ward-7")
    repeated = api.add_permission(
        call(), function_name="f", statement_id="s3", action="lambda:InvokeFunction", principal="*"
    )
    await refused("ResourceConflictException", repeated, "already exists")
    bad = api.add_permission(call(), function_name="f", statement_id="x", action="s3:Get", principal="*")
    await refused("InvalidParameterValueException", bad)
    missing = api.remove_permission(call(), function_name="f", statement_id="no")
    await refused("ResourceNotFoundException", missing, "Statement no is not found")
    await api.remove_permission(call(), function_name="f", statement_id="s3", revision_id=policy["RevisionId"])
    await refused("ResourceNotFoundException", api.get_policy(call(), function_name="f"))


async def test_tags_account_and_code_signing(place: Place) -> None:
    await place.python(ECHO, tags={"a": "1"})
    api = place.api
    await api.tag_resource(call(), resource=ARN, tags={"b": "2"})
    assert await api.list_tags(call(), resource=ARN) == {"Tags": {"a": "1", "b": "2"}}
    await api.untag_resource(call(), resource=ARN, tag_keys=["a", "zz"])
    assert await api.list_tags(call(), resource=ARN) == {"Tags": {"b": "2"}}
    settings = await api.get_account_settings(call())
    assert settings["AccountUsage"]["FunctionCount"] == 1
    assert settings["AccountLimit"]["CodeSizeUnzipped"] == 262144000
    assert (await api.get_function_code_signing_config(call(), function_name="f"))["CodeSigningConfigArn"] == ""


async def test_event_invoke_configurations(place: Place) -> None:
    await place.python(ECHO)
    await place.node("exports.handler = async () => 1", "g")
    api = place.api
    await refused("ResourceNotFoundException", api.get_function_event_invoke_config(call(), function_name="f"))
    target = ARN[:-1] + "g"
    put = await api.put_function_event_invoke_config(
        call(),
        function_name="f",
        maximum_retry_attempts=1,
        destination_config={"OnFailure": {"Destination": target}},
    )
    assert put["FunctionArn"] == f"{ARN}:$LATEST" and put["MaximumRetryAttempts"] == 1
    updated = await api.update_function_event_invoke_config(call(), function_name="f", maximum_event_age_in_seconds=60)
    assert (updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]) == (1, 60)
    assert updated["DestinationConfig"] == {"OnFailure": {"Destination": target}}
    listed = await api.list_function_event_invoke_configs(call(), function_name="f")
    assert listed["FunctionEventInvokeConfigs"] == [updated]

    def put_f(**given: Any) -> Awaitable[Any]:
        return api.put_function_event_invoke_config(call(), function_name="f", **given)

    await refused("ValidationException", put_f(maximum_retry_attempts=3))
    await refused("ValidationException", put_f(maximum_event_age_in_seconds=59))
    await refused("InvalidParameterValueException", put_f(), "error handling or destination")
    queue = {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:q"}}
    await refused("InvalidParameterValueException", put_f(destination_config=queue), "is invalid")
    itself = {"OnSuccess": {"Destination": ARN}}
    await refused("InvalidParameterValueException", put_f(destination_config=itself), "for itself")
    await api.delete_function_event_invoke_config(call(), function_name="f")
    await refused("ResourceNotFoundException", api.get_function_event_invoke_config(call(), function_name="f"))


async def test_every_operation_and_parameter_is_in_the_model() -> None:
    import inspect

    import botocore.session
    from botocore import xform_name

    from littoral.functions import LambdaApi

    model = botocore.session.get_session().get_service_model("lambda")
    operations = {xform_name(name): model.operation_model(name) for name in model.operation_names}
    ours = {name: each for name, each in vars_of(LambdaApi).items() if hasattr(each, "__littoral_operation__")}
    assert len(ours) >= 36
    for name, method in ours.items():
        shape = operations[name].input_shape
        members = {xform_name(member): member for member in shape.members}
        for parameter in list(inspect.signature(method).parameters.values())[2:]:
            assert parameter.name in members, (name, parameter.name)
            required = members[parameter.name] in shape.required_members
            assert required == (parameter.default is inspect.Parameter.empty), (name, parameter.name)
        missing = {members[m] for m in members} & set(shape.required_members)
        given = {p.name for p in inspect.signature(method).parameters.values()}
        assert {xform_name(m) for m in missing} <= given


def vars_of(kind: type) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in dir(kind)}


async def test_runtimes_of_the_list(place: Place) -> None:
    await place.create("n", zip_of(index__js="exports.handler = async () => process.version"), NODE, "index.handler")
    assert (await place.invoke(name="n")).result.startswith("v")


async def test_a_revision_is_that_of_all_that_belongs_to_a_function(place: Place) -> None:
    """A policy's revision is its function's, and what changes it, or the tags, changes that; instances go on."""
    api = place.api

    async def revision() -> str:
        return (await api.get_function(call(), function_name="f"))["Configuration"]["RevisionId"]

    await place.python(ECHO)
    before = await revision()
    await place.invoke()
    grant = {"action": "lambda:InvokeFunction", "principal": "s3.amazonaws.com"}
    await api.add_permission(call(), function_name="f", statement_id="s", **grant, revision_id=before)
    policy = (await api.get_policy(call(), function_name="f"))["RevisionId"]
    assert before != policy == await revision()
    assert not any("Init Duration" in line for line in (await place.invoke()).log)
    stale = api.add_permission(call(), function_name="f", statement_id="t", **grant, revision_id=before)
    await refused("PreconditionFailedException", stale, "GetPolicy")
    await api.tag_resource(call(), resource=ARN, tags={"bed": "7"})
    tagged = await revision()
    assert tagged != policy
    await api.update_function_configuration(call(), function_name="f", timeout=7, revision_id=tagged)
    assert (await api.get_policy(call(), function_name="f"))["RevisionId"] == await revision() != tagged
    await api.remove_permission(call(), function_name="f", statement_id="s", revision_id=await revision())


async def test_an_alias_takes_with_it_what_was_set_on_it(place: Place) -> None:
    api = place.api
    await place.python(ECHO, publish=True)

    async def make() -> str:
        return (await api.create_alias(call(), function_name="f", name="live", function_version="1"))["RevisionId"]

    first = await make()
    granted = {"statement_id": "s", "action": "lambda:InvokeFunction", "principal": "s3.amazonaws.com"}
    await api.add_permission(call(), function_name="f", qualifier="live", **granted)
    assert (await api.get_alias(call(), function_name="f", name="live"))["RevisionId"] != first
    await api.put_function_event_invoke_config(call(), function_name="f", qualifier="live", maximum_retry_attempts=0)
    await api.delete_alias(call(), function_name="f", name="live")
    await make()
    await refused("ResourceNotFoundException", api.get_policy(call(), function_name="f", qualifier="live"))
    assert (await api.list_function_event_invoke_configs(call(), function_name="f"))["FunctionEventInvokeConfigs"] == []


async def test_another_description_is_another_version(place: Place) -> None:
    await place.python(ECHO, description="one")
    api = place.api
    first = await api.publish_version(call(), function_name="f", description="of the version")
    assert (first["Version"], first["Description"]) == ("1", "of the version")
    assert (await api.publish_version(call(), function_name="f"))["Version"] == "1"
    await api.update_function_configuration(call(), function_name="f", description="two")
    second = await api.publish_version(call(), function_name="f")
    assert (second["Version"], second["Description"]) == ("2", "two")


async def test_a_version_that_is_not_there_may_be_deleted(place: Place) -> None:
    await place.python(ECHO)
    assert await place.api.delete_function(call(), function_name="f", qualifier="1233") == {"StatusCode": 204}
