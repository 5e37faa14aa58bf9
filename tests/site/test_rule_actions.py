"""A whole place: what each action of a topic rule leaves behind, seen through boto3 as an author sees it."""

from __future__ import annotations

import http.server
import json
import queue
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from botocore.exceptions import ClientError

from tests.site.conftest import ROLE, Running
from tests.site.test_sources import archive
from tests.things.test_rule_protobuf import descriptors, message

ACCOUNT = "000000000000"
RULE = f"arn:aws:iot:us-east-1:{ACCOUNT}:rule/"
NAMING = """
def handler(event, context):
    if event['bed'] == 13:
        raise ValueError('no such bed')
    return {'name': f"bed {event['bed']}"}
"""
T = TypeVar("T")


def until(look: Callable[[], T | None], *, seconds: float = 30) -> T:
    """What ``look`` gives, once it gives something."""
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)
    return found


def rule(place: Running, name: str, *actions: dict[str, Any], sql: str = "", **more: Any) -> None:
    payload = {"sql": sql or f"SELECT * FROM '{name}'", "actions": list(actions), **more}
    place.client("iot").create_topic_rule(ruleName=name, topicRulePayload=payload)


def publish(place: Running, topic: str, payload: Any) -> None:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    place.client("iot-data").publish(topic=topic, qos=1, payload=data)


def records(place: Running, stream: str, count: int) -> list[bytes]:
    kinesis = place.client("kinesis")
    shard = kinesis.describe_stream(StreamName=stream)["StreamDescription"]["Shards"][0]["ShardId"]
    begin = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")

    def look() -> list[bytes] | None:
        found = [each["Data"] for each in kinesis.get_records(ShardIterator=begin["ShardIterator"])["Records"]]
        return found if len(found) >= count else None

    return until(look)


def metric(place: Running, line: str) -> str | None:
    """The value of a line of ``/metrics``."""
    with urllib.request.urlopen(f"{place.api}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return next((each.rpartition(" ")[2] for each in lines if each.startswith(line + " ")), None)


def test_records_go_to_the_data_stream_of_that_name(place: Running) -> None:
    place.client("kinesis").create_stream(StreamName="vitals", ShardCount=1)
    rule(
        place,
        "streams",
        {"kinesis": {"roleArn": ROLE, "streamName": "${kind}", "partitionKey": "${topic()}"}},
        {"firehose": {"roleArn": ROLE, "deliveryStreamName": "vitals", "separator": "\n", "batchMode": True}},
        {
            "sqs": {
                "roleArn": ROLE,
                "queueUrl": f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/${{kind}}",
                "useBase64": True,
            }
        },
        {"sns": {"roleArn": ROLE, "targetArn": f"arn:aws:sns:us-east-1:{ACCOUNT}:vitals", "messageFormat": "RAW"}},
        sql="SELECT VALUE rows FROM 'streams'",
    )
    publish(place, "streams", {"kind": "vitals", "rows": [{"hr": 80}, {"hr": 90}]})
    whole = b'[{"hr":80},{"hr":90}]'
    assert records(place, "vitals", 5) == [
        whole,
        b'{"hr":80}\n',
        b'{"hr":90}\n',
        b"W3siaHIiOjgwfSx7ImhyIjo5MH1d",
        whole,
    ]


def test_log_events_go_to_their_group_one_by_one_or_in_batches(place: Running) -> None:
    logs = place.client("logs")
    logs.create_log_group(logGroupName="devices")
    now = int(time.time() * 1000)
    batch = {"cloudwatchLogs": {"roleArn": ROLE, "logGroupName": "${get(topic(), 0) + 'evices'}", "batchMode": True}}
    rule(place, "devicelogs", batch)
    rule(place, "onelog", {"cloudwatchLogs": {"roleArn": ROLE, "logGroupName": "devices"}})
    publish(
        place, "devicelogs", [{"timestamp": now - 5, "message": "later"}, {"timestamp": now - 9, "message": "first"}]
    )
    publish(place, "onelog", {"said": "alone"})

    def look() -> list[tuple[str, str]] | None:
        events = logs.filter_log_events(logGroupName="devices")["events"]
        found = [(each["logStreamName"], each["message"]) for each in events]
        return found if len(found) == 3 else None

    assert sorted(until(look)) == [("devicelogs", "first"), ("devicelogs", "later"), ("onelog", '{"said": "alone"}')]


def test_items_go_to_tables_and_come_back_into_statements(place: Running) -> None:
    tables = place.client("dynamodb")
    for name, keys in (("vitals", [("topic", "S"), ("at", "N")]), ("beds", [("bed", "S")])):
        tables.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind in keys],
            KeySchema=[
                {"AttributeName": key, "KeyType": role} for (key, _), role in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
        )
    rule(place, "bedded", {"dynamoDBv2": {"roleArn": ROLE, "putItem": {"tableName": "beds"}}})
    publish(place, "bedded", {"bed": "7", "limits": {"high": 120.5, "tags": ["a", None]}})
    item = until(lambda: tables.get_item(TableName="beds", Key={"bed": {"S": "7"}}).get("Item"))
    assert item["limits"] == {"M": {"high": {"N": "120.5"}, "tags": {"L": [{"S": "a"}, {"NULL": True}]}}}
    action = {
        **{"roleArn": ROLE, "tableName": "vitals", "hashKeyField": "topic", "hashKeyValue": "${topic()}"},
        **{"rangeKeyField": "at", "rangeKeyValue": "${at}", "rangeKeyType": "NUMBER", "payloadField": "seen"},
    }
    asked = f"get_dynamodb('beds', 'bed', topic(2), '{ROLE}').limits.high"
    rule(place, "vital", {"dynamoDB": action}, sql=f"SELECT rate, {asked} AS high FROM 'vital/+' WHERE rate > {asked}")
    publish(place, "vital/7", {"rate": 100, "at": 1})  # not above the limit
    publish(place, "vital/7", {"rate": 130, "at": 2})
    found = until(lambda: tables.scan(TableName="vitals")["Items"] or None)
    assert found == [
        {
            **{"topic": {"S": "vital/7"}, "at": {"N": "2"}},
            "seen": {"M": {"rate": {"N": "130"}, "high": {"N": "120.5"}}},
        }
    ]
    rule(place, "again", {"dynamoDB": {**action, "operation": "UPDATE"}}, sql="SELECT at, rate FROM 'vital/+/again'")
    rule(place, "gone", {"dynamoDB": {**action, "operation": "DELETE"}}, sql="SELECT at FROM 'vital/+/gone'")
    key = {"topic": {"S": "vital/7/again"}, "at": {"N": "3"}}
    tables.put_item(TableName="vitals", Item={**key, "room": {"S": "12"}})
    publish(place, "vital/7/again", {"rate": 1, "at": 3})
    item = until(lambda: (one := tables.get_item(TableName="vitals", Key=key)["Item"]).get("seen") and one)
    assert item == {**key, "room": {"S": "12"}, "seen": {"M": {"at": {"N": "3"}, "rate": {"N": "1"}}}}
    gone = {"topic": {"S": "vital/7/gone"}, "at": {"N": "3"}}
    tables.put_item(TableName="vitals", Item=gone)
    publish(place, "vital/7/gone", {"at": 3})
    until(lambda: "Item" not in tables.get_item(TableName="vitals", Key=gone))


def test_what_a_table_does_not_take_goes_to_the_error_action(place: Running) -> None:
    place.client("s3").create_bucket(Bucket="untabled")
    error = {"s3": {"roleArn": ROLE, "bucketName": "untabled", "key": "error.json"}}
    action = {"dynamoDBv2": {"roleArn": ROLE, "putItem": {"tableName": "nosuch"}}}
    rule(place, "untabled", action, errorAction=error)
    publish(place, "untabled", {"bed": "7"})

    def look() -> Any:
        try:
            return json.load(place.client("s3").get_object(Bucket="untabled", Key="error.json")["Body"])
        except ClientError:
            return None

    (failure,) = until(look)["failures"]
    assert failure["failedAction"] == "DynamoDBv2Action" and failure["failedResource"] == "nosuch"
    assert "ResourceNotFoundException" in failure["errorMessage"]


def test_the_log_of_iot_is_a_group_that_is_read_as_any_other(place: Running) -> None:
    iot, logs = place.client("iot"), place.client("logs")
    iot.set_v2_logging_options(roleArn=ROLE, defaultLogLevel="INFO")
    place.client("iot-data").publish(topic="logged", payload=b"{}")
    pattern = '{ $.eventType = "Publish-In" && $.topicName = "logged" }'

    def look() -> Any:
        try:
            return logs.filter_log_events(logGroupName="AWSIotLogsV2", filterPattern=pattern)["events"] or None
        except logs.exceptions.ResourceNotFoundException:
            return None

    (event,) = until(look)
    iot.set_v2_logging_options(disableAllLogs=True)
    assert json.loads(event["message"])["protocol"] == "HTTP"


def test_a_metric_is_in_the_places_metrics(place: Running) -> None:
    rule(
        place,
        "measure",
        {
            "cloudwatchMetric": {
                "roleArn": ROLE,
                "metricNamespace": "${ward}",
                "metricName": "HeartRate",
                "metricUnit": "Count/Second",
                "metricValue": "${hr}",
                "metricTimestamp": "${timestamp() / 1000}",
            }
        },
    )
    for rate in (1.5, 2.5):
        publish(place, "measure", {"ward": "Ward7", "hr": rate})
    labels = 'metric="HeartRate",namespace="Ward7"'
    until(lambda: (metric(place, f'littoral_metric_samples_total{{{labels},unit="Count/Second"}}') == "2.0") or None)
    for statistic, value in (("total", "4.0"), ("most", "2.5"), ("latest", "2.5")):
        assert metric(place, f'littoral_metric{{{labels},statistic="{statistic}",unit="Count/Second"}}') == value
    done = 'littoral_rule_actions_total{action="CloudwatchMetricAction",result="success",rule="measure"}'
    until(lambda: (metric(place, done) == "2.0") or None)
    assert metric(place, 'littoral_rule_messages_total{result="evaluated",rule="measure"}') == "2.0"


def test_a_statement_asks_functions_shadows_and_the_registry(place: Running) -> None:
    functions, iot, s3 = place.client("lambda"), place.client("iot"), place.client("s3")
    made = functions.create_function(
        FunctionName="bednames",
        Role=ROLE,
        Runtime="python3.11",
        Handler="app.handler",
        Code={"ZipFile": archive(NAMING)},
    )["FunctionArn"]
    functions.get_waiter("function_active_v2").wait(FunctionName="bednames")
    for name in ("enrich", "saved"):
        functions.add_permission(
            FunctionName="bednames",
            StatementId=name,
            Action="lambda:InvokeFunction",
            Principal="iot.amazonaws.com",
            SourceArn=RULE + name,
        )
    iot.create_thing(thingName="bed3", attributePayload={"attributes": {"floor": "2"}})
    iot.create_thing_group(thingGroupName="ward7")
    iot.add_thing_to_thing_group(thingGroupName="ward7", thingName="bed3")
    place.client("iot-data").update_thing_shadow(thingName="bed3", payload=b'{"state": {"reported": {"limit": 120}}}')
    s3.create_bucket(Bucket="enriched")
    kept = {"s3": {"roleArn": ROLE, "bucketName": "enriched", "key": "${topic()}-${@bed.name}"}}
    failed = {"s3": {"roleArn": ROLE, "bucketName": "enriched", "key": "failed-${topic()}"}}
    sql = (
        f"SET @bed = aws_lambda('{made}', {{'bed': bed}}) "
        f"SELECT hr, @bed.name AS bed, get_registry_data('DescribeThing', thing, '{ROLE}').attributes.floor AS floor, "
        f"get_registry_data('ListThingGroupsForThing', thing, '{ROLE}').thingGroups[0].groupName AS ward "
        f"FROM 'NAME' WHERE hr > get_thing_shadow(thing, '{ROLE}').state.reported.limit"
    )
    for name in ("enrich", "forbidden"):
        rule(place, name, kept, sql=sql.replace("NAME", name), errorAction=failed)
    asking = f"aws_lambda('{made}', {{'bed': bed}})"
    default = sql.replace(asking, f"get_or_default({asking}, {{'name': 'unknown'}})").replace("NAME", "saved")
    rule(place, "saved", kept, sql=default, errorAction=failed)

    def stored(key: str) -> Any:
        def look() -> Any:
            try:
                return json.loads(s3.get_object(Bucket="enriched", Key=key)["Body"].read())
            except s3.exceptions.NoSuchKey:
                return None

        return until(look)

    publish(place, "enrich", {"thing": "bed3", "bed": 3, "hr": 100})  # not above its limit
    publish(place, "enrich", {"thing": "bed3", "bed": 3, "hr": 130})
    assert stored("enrich-bed 3") == {"hr": 130, "bed": "bed 3", "floor": "2", "ward": "ward7"}
    publish(place, "enrich", {"thing": "bed3", "bed": 13, "hr": 130})
    assert "no such bed" in stored("failed-enrich")["failures"][0]["errorMessage"]
    publish(place, "saved", {"thing": "bed3", "bed": 13, "hr": 131})
    assert stored("saved-unknown") == {"hr": 131, "bed": "unknown", "floor": "2", "ward": "ward7"}
    publish(place, "forbidden", {"thing": "bed3", "bed": 3, "hr": 130})
    assert "resource policy" in stored("failed-forbidden")["failures"][0]["errorMessage"]
    assert metric(place, 'littoral_rule_messages_total{result="matched",rule="enrich"}') == "1.0"
    keys = {each["Key"] for each in s3.list_objects_v2(Bucket="enriched")["Contents"]}
    assert keys == {"enrich-bed 3", "failed-enrich", "saved-unknown", "failed-forbidden"}


def test_a_protobuf_message_is_decoded_by_a_descriptor_set_in_a_bucket(place: Running) -> None:
    """Another set under the same key holds at once; what is not there or is none goes to the error action."""
    s3 = place.client("s3")
    s3.create_bucket(Bucket="schemas")
    kept = {"s3": {"roleArn": ROLE, "bucketName": "schemas", "key": "out-${topic()}"}}
    failed = {"s3": {"roleArn": ROLE, "bucketName": "schemas", "key": "failed-${topic()}"}}
    decode = "decode(*, 'proto', 'schemas', 'beds.desc', 'beds', 'Reading')"
    sql = f"SELECT {decode}.bedName AS bed, {decode} AS whole FROM 'proto/+'"
    rule(place, "proto", kept, sql=sql, errorAction=failed)

    def stored(key: str) -> Any:
        def look() -> Any:
            try:
                return json.loads(s3.get_object(Bucket="schemas", Key=key)["Body"].read())
            except s3.exceptions.NoSuchKey:
                return None

        return until(look)

    def why(key: str) -> Any:
        return stored(key)["failures"][0]["errorMessage"]

    publish(place, "proto/early", message(bed_name="7"))
    assert "decode() failed: NoSuchKey" in why("failed-proto/early")
    s3.put_object(Bucket="schemas", Key="beds.desc", Body=bytes(40_000))
    publish(place, "proto/large", message(bed_name="7"))
    assert "more than 32768 bytes" in why("failed-proto/large")
    s3.put_object(Bucket="schemas", Key="beds.desc", Body=descriptors().SerializeToString())
    publish(place, "proto/1", message(bed_name="7", at=5, samples=[1, -2]))
    assert stored("out-proto/1") == {"bed": "7", "whole": {"bedName": "7", "at": "5", "samples": [1, -2]}}
    publish(place, "proto/bad", b"\xff\xff")
    assert "cannot be read as Reading" in why("failed-proto/bad")


# ------------------------------------------------------------------------------------------------------------ HTTP


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    body: bytes


@contextmanager
def endpoint() -> Iterator[tuple[str, queue.Queue[Asked], list[int]]]:
    """Somebody's web service: its address, what it was asked, and the statuses it will answer before 200."""
    asked: queue.Queue[Asked] = queue.Queue()
    statuses: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            asked.put(Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked, statuses
        finally:
            server.shutdown()
            thread.join()


def destination(place: Running, url: str) -> dict[str, Any]:
    listed = place.client("iot").list_topic_rule_destinations()["destinationSummaries"]
    (found,) = [each for each in listed if each["httpUrlSummary"]["confirmationUrl"] == url]
    return place.client("iot").get_topic_rule_destination(arn=found["arn"])["topicRuleDestination"]


def test_a_statement_asks_for_a_secret(place: Running) -> None:
    """Of each kind; what is not there, or no longer so, goes to the error action, or gets its default."""
    manager, s3 = place.client("secretsmanager"), place.client("s3")
    manager.create_secret(Name="api", SecretString=json.dumps({"token": "abc"}))
    manager.create_secret(Name="raw", SecretBinary=b"\x00\x01")
    s3.create_bucket(Bucket="secrets")
    kept = {"s3": {"roleArn": ROLE, "bucketName": "secrets", "key": "${topic()}-${@token}"}}
    failed = {"s3": {"roleArn": ROLE, "bucketName": "secrets", "key": "failed-${topic()}"}}
    sql = (
        f"SET @token = get_secret('api', 'SecretString', 'token', '{ROLE}') "
        f"SELECT get_secret('api', 'SecretString', '{ROLE}') AS whole, "
        f"get_secret('raw', 'SecretBinary', '{ROLE}') AS raw, "
        f"get_or_default(get_secret('api', 'SecretString', wanted, '{ROLE}'), 'none') AS other FROM 'secretive'"
    )
    rule(place, "secretive", kept, sql=sql, errorAction=failed)

    def stored(key: str) -> Any:
        def look() -> Any:
            try:
                return json.loads(s3.get_object(Bucket="secrets", Key=key)["Body"].read())
            except s3.exceptions.NoSuchKey:
                return None

        return until(look)

    publish(place, "secretive", {"wanted": "missing"})
    assert stored("secretive-abc") == {"whole": '{"token": "abc"}', "raw": "AAE=", "other": "none"}
    manager.put_secret_value(SecretId="api", SecretString=json.dumps({"token": "def"}))
    publish(place, "secretive", {"wanted": "token"})
    assert stored("secretive-def")["other"] == "def"
    manager.delete_secret(SecretId="raw", ForceDeleteWithoutRecovery=True)
    publish(place, "secretive", {"wanted": "token"})
    assert "get_secret() failed" in stored("failed-secretive")["failures"][0]["errorMessage"]


def test_an_endpoint_gets_messages_once_its_owner_has_confirmed_it(place: Running) -> None:
    iot, s3 = place.client("iot"), place.client("s3")
    s3.create_bucket(Bucket="unsent")
    with endpoint() as (url, asked, statuses):
        web = {
            "url": url + "/beds/${bed}",
            "confirmationUrl": url,
            "headers": [{"key": "X-Ward", "value": "${ward}"}],
            "auth": {"sigv4": {"signingRegion": "us-east-1", "serviceName": "execute-api", "roleArn": ROLE}},
        }
        unsent = {"s3": {"roleArn": ROLE, "bucketName": "unsent", "key": "${bed}"}}
        rule(place, "web", {"http": web}, errorAction=unsent)
        confirmation = asked.get(timeout=30)
        message = json.loads(confirmation.body)
        assert confirmation.path == f"/?confirmationToken={message['confirmationToken']}"
        assert (
            confirmation.headers["x-amz-rules-engine-message-type"]
            == message["messageType"]
            == "DestinationConfirmation"
        )
        assert (
            confirmation.headers["x-amz-rules-engine-destination-arn"]
            == message["arn"]
            == destination(place, url)["arn"]
        )
        assert destination(place, url)["status"] == "IN_PROGRESS"

        publish(place, "web", {"bed": 1, "ward": "7"})
        until(lambda: s3.list_objects_v2(Bucket="unsent").get("Contents"))
        assert asked.empty()

        with urllib.request.urlopen(message["enableUrl"]) as page:
            assert page.status == 200
        assert destination(place, url)["status"] == "ENABLED"
        statuses.append(503)
        publish(place, "web", {"bed": 2, "ward": "7"})
        for _ in range(2):  # the first was answered 503
            sent = asked.get(timeout=30)
            assert (sent.path, sent.body) == ("/beds/2", b'{"bed": 2, "ward": "7"}')
            assert (sent.headers["x-ward"], sent.headers["content-type"]) == ("7", "application/json")
            assert f"{place.access_key}/" in sent.headers["authorization"]
            assert "/us-east-1/execute-api/aws4_request" in sent.headers["authorization"]

        iot.update_topic_rule_destination(arn=message["arn"], status="DISABLED")
        with pytest.raises(ClientError, match="cannot be made DISABLED"):
            iot.update_topic_rule_destination(arn=message["arn"], status="DISABLED")
        publish(place, "web", {"bed": 3, "ward": "7"})
        until(lambda: s3.list_objects_v2(Bucket="unsent", Prefix="3").get("Contents"))
        assert asked.empty()

        iot.update_topic_rule_destination(arn=message["arn"], status="IN_PROGRESS")
        again = json.loads(asked.get(timeout=30).body)["confirmationToken"]
        assert again != message["confirmationToken"]
        with pytest.raises(ClientError, match="not valid"):
            iot.confirm_topic_rule_destination(confirmationToken=message["confirmationToken"])
        iot.confirm_topic_rule_destination(confirmationToken=again)
        assert destination(place, url)["status"] == "DISABLED"
        iot.delete_topic_rule_destination(arn=message["arn"])
        with pytest.raises(ClientError, match="UnauthorizedException"):
            iot.get_topic_rule_destination(arn=message["arn"])


@pytest.mark.parametrize("kind", ["vpcConfiguration", "influxDBConfiguration"])
def test_a_destination_is_an_http_endpoint(place: Running, kind: str) -> None:
    iot = place.client("iot")
    shape = iot.meta.service_model.shape_for("TopicRuleDestinationConfiguration").members[kind]
    least = {each: shape.members[each] for each in shape.required_members}
    given = {each: ["x"] if of.type_name == "list" else (of.enum or [ROLE])[0] for each, of in least.items()}
    with pytest.raises(ClientError, match="httpUrlConfiguration only"):
        iot.create_topic_rule_destination(destinationConfiguration={kind: given})


def test_a_destination_says_why_its_confirmation_did_not_arrive(place: Running) -> None:
    iot = place.client("iot")
    with endpoint() as (url, asked, statuses):
        statuses.append(404)
        made = iot.create_topic_rule_destination(
            destinationConfiguration={"httpUrlConfiguration": {"confirmationUrl": url + "/sub"}}
        )["topicRuleDestination"]
        assert made["status"] == "IN_PROGRESS"
        assert asked.get(timeout=30).path.startswith("/sub/?confirmationToken=")
        until(lambda: destination(place, url + "/sub")["status"] == "ERROR" or None)
        assert "404" in destination(place, url + "/sub")["statusReason"]
        with pytest.raises(ClientError, match="ResourceAlreadyExists"):
            iot.create_topic_rule_destination(
                destinationConfiguration={"httpUrlConfiguration": {"confirmationUrl": url + "/sub"}}
            )
        iot.update_topic_rule_destination(arn=made["arn"], status="IN_PROGRESS")
        message = json.loads(asked.get(timeout=30).body)
        assert (
            place.aws("iot", "confirm-topic-rule-destination", "--confirmation-token", message["confirmationToken"])
            == ""
        )
        assert destination(place, url + "/sub")["status"] == "DISABLED"
