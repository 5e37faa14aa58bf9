"""Terraform with AWS's own provider: apply, then nothing more to do; LITTORAL_TERRAFORM=whole: change and destroy, too.

The provider costs five seconds of a processor a step before it sends its first request: not all of it is for every run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from littoral.net.pki import Authority
from tests.certificates.made import brought, names_in

from .conftest import Running, needs
from .test_certificates import shows, viewer
from .test_clients import zipped

HERE = Path(__file__).parent / "terraform"
WHOLE = os.environ.get("LITTORAL_TERRAFORM") == "whole"
# where a provider may lie that was fetched before; terraform itself would ask its registry
MIRRORS = (
    "/opt/tf-plugins",
    "~/.terraform.d/plugins",
    "/usr/share/terraform/plugins",
    "/usr/local/share/terraform/plugins",
)
APP = "def handler(event, context):\n    print('got', event)\n    return {'version': context.function_version}\n"


def _mirror() -> Path:
    for each in MIRRORS:
        folder = Path(each).expanduser()
        if any(folder.glob("registry.terraform.io/hashicorp/aws/5.100.0/*/terraform-provider-aws*")):
            return folder
    pytest.skip("terraform's provider hashicorp/aws 5.100.0 is in none of its local mirrors")


class Terraform:
    def __init__(self, place: Running, folder: Path, *files: str) -> None:
        for file in files:
            shutil.copy(HERE / file, folder)
        self._program, self._folder = needs("terraform"), folder
        settings = folder / "terraformrc"
        settings.write_text(
            f'disable_checkpoint = true\nprovider_installation {{ filesystem_mirror {{\n path = "{_mirror()}"\n}} }}'
        )
        (folder / "app.zip").write_bytes(zipped(app__py=APP))
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))},
            "TF_CLI_CONFIG_FILE": str(settings),
            "TF_IN_AUTOMATION": "1",
            "GOGC": "800",  # nearly half of the provider's processor time is its garbage collector's
            "AWS_ACCESS_KEY_ID": place.access_key,
            "AWS_SECRET_ACCESS_KEY": place.secret_key,
            "AWS_CONFIG_FILE": "/dev/null",
            "TF_VAR_endpoint": place.api,
            "TF_VAR_zip": str(folder / "app.zip"),
        }

    def __call__(self, command: str, *options: str, status: int = 0, **variables: str) -> str:
        given = [f"-var={name}={value}" for name, value in variables.items()]
        argv = [self._program, command, "-no-color", "-input=false", *options, *given]
        done = subprocess.run(
            argv, cwd=self._folder, env=self._env, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_terraform_applies_and_finds_nothing_more_to_do(place: Running, tmp_path: Path) -> None:
    terraform = Terraform(place, tmp_path, "ward.tf", "whole.tf" if WHOLE else "there.tf")
    if not WHOLE:
        place.client("kinesis").create_stream(StreamName="tf-readings", ShardCount=1)
    terraform("init")
    terraform("apply", "-auto-approve")
    state = json.loads((tmp_path / "terraform.tfstate").read_text())
    assert json.loads(state["outputs"]["answer"]["value"]) == {"version": "1"}
    host = state["outputs"]["url"]["value"].split("/")[2]
    with urllib.request.urlopen(urllib.request.Request(place.api, headers={"Host": host})) as answer:
        assert json.load(answer) == {"version": "$LATEST"}
    _look(place)
    terraform("plan", "-detailed-exitcode")  # 2 were "there is something to do"
    if WHOLE:
        changed = terraform("apply", "-auto-approve", timeout="20", team="other")
        assert "0 added" in changed and "0 destroyed" in changed
        terraform("plan", "-detailed-exitcode", timeout="20", team="other")
        terraform("destroy", "-auto-approve")
        assert place.client("lambda").list_functions()["Functions"] == []
        assert place.client("lambda").list_event_source_mappings()["EventSourceMappings"] == []
        assert place.client("s3").list_buckets()["Buckets"] == []


def _look(place: Running) -> None:
    """What was made is there, through another client."""
    functions = place.client("lambda")
    (mapping,) = functions.list_event_source_mappings(FunctionName="tf-ward")["EventSourceMappings"]
    assert functions.list_tags(Resource=mapping["EventSourceMappingArn"])["Tags"] == {"team": "ward"}
    assert functions.get_function_event_invoke_config(FunctionName="tf-ward")["MaximumRetryAttempts"] == 1
    notified = place.client("s3").get_bucket_notification_configuration(Bucket="tf-ward")
    (target,) = notified["LambdaFunctionConfigurations"]
    assert target["LambdaFunctionArn"].endswith(":function:tf-ward")
    iot = place.client("iot")
    rule = iot.get_topic_rule(ruleName="tf_hot")
    kinds = {"cloudwatchLogs", "cloudwatchMetric", "firehose", "kinesis", "lambda", "s3", "sns", "sqs"}
    assert {kind for action in rule["rule"]["actions"] for kind in action} == kinds
    assert iot.list_tags_for_resource(resourceArn=rule["ruleArn"])["tags"] == [{"Key": "team", "Value": "ward"}]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not WHOLE, reason="LITTORAL_TERRAFORM=whole asks for it: a minute of a processor")
def test_terraform_makes_changes_and_destroys_a_fleet(place: Running, tmp_path: Path) -> None:
    terraform = Terraform(place, tmp_path, "fleet/fleet.tf")
    (tmp_path / "ca.pem").write_bytes(Authority.load_or_create(tmp_path / "ca", "tf factory").certificate_pem)
    iot = place.client("iot")
    terraform("init")
    terraform("apply", "-auto-approve")
    assert iot.describe_thing(thingName="tf-bed-1")["attributes"] == {"ward": "7"}
    group = iot.describe_thing_group(thingGroupName="tf-hospital")["thingGroupArn"]
    tags = iot.list_tags_for_resource(resourceArn=group)["tags"]
    assert tags == [{"Key": "city", "Value": "Ostend"}, {"Key": "team", "Value": "fleet"}]
    assert iot.list_things_in_thing_group(thingGroupName="tf-ward")["things"] == ["tf-bed-1"]
    assert iot.get_v2_logging_options()["defaultLogLevel"] == "WARN"
    domain = iot.describe_domain_configuration(domainConfigurationName="tf-beds")
    assert domain["authorizerConfig"] == {"defaultAuthorizerName": "tf-gate", "allowAuthorizerOverride": True}
    terraform("plan", "-detailed-exitcode")
    changed = terraform("apply", "-auto-approve", ward="8")
    assert "0 added, 4 changed, 0 destroyed" in changed
    terraform("plan", "-detailed-exitcode", ward="8")
    terraform("destroy", "-auto-approve")
    assert iot.list_things()["things"] == [] and iot.list_policies()["policies"] == []
    assert iot.list_ca_certificates()["certificates"] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not WHOLE, reason="LITTORAL_TERRAFORM=whole asks for it: half a minute of a processor")
def test_terraform_makes_changes_and_destroys_a_table(place: Running, tmp_path: Path) -> None:
    terraform = Terraform(place, tmp_path, "place.tf", "tables/tables.tf")
    terraform("init")
    terraform("apply", "-auto-approve")
    terraform("plan", "-detailed-exitcode")
    tables = place.client("dynamodb")
    made = tables.describe_table(TableName="tf-beds")["Table"]
    assert [each["IndexName"] for each in made["LocalSecondaryIndexes"]] == ["by-time"]
    key = {"ward": {"S": "7"}, "bed": {"N": "1"}}
    assert tables.get_item(TableName="tf-beds", Key=key)["Item"]["nurse"] == {"S": "bob"}

    changed = terraform("apply", "-auto-approve", later="true")
    assert "0 added, 2 changed, 0 destroyed" in changed
    terraform("plan", "-detailed-exitcode", later="true")
    made = tables.describe_table(TableName="tf-beds")["Table"]
    assert made["StreamSpecification"]["StreamViewType"] == "NEW_AND_OLD_IMAGES"
    asked = {"KeyConditionExpression": "nurse = :n", "ExpressionAttributeValues": {":n": {"S": "ann"}}}
    found = tables.query(TableName="tf-beds", IndexName="by-nurse", **asked)["Items"]
    assert found == [{**key, "at": {"N": "10"}, "nurse": {"S": "ann"}}]
    tags = tables.list_tags_of_resource(ResourceArn=made["TableArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "night"}]

    terraform("destroy", "-auto-approve", later="true")
    assert "tf-beds" not in tables.list_tables()["TableNames"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not WHOLE, reason="LITTORAL_TERRAFORM=whole asks for it: half a minute of a processor")
def test_terraform_makes_changes_and_destroys_buckets(place: Running, tmp_path: Path) -> None:
    terraform = Terraform(place, tmp_path, "place.tf", "buckets/buckets.tf")
    page = f"{place.api}/tf-page/index.html"
    terraform("init")
    terraform("apply", "-auto-approve")
    terraform("plan", "-detailed-exitcode")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(page)
    changed = terraform("apply", "-auto-approve", open="true")
    assert "0 added, 2 changed, 0 destroyed" in changed
    with urllib.request.urlopen(page) as answer:
        assert answer.read() == b"<h1>Ward 7</h1>"
    terraform("plan", "-detailed-exitcode", open="true")
    terraform("destroy", "-auto-approve", open="true")
    assert place.client("s3").list_buckets()["Buckets"] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(
    not WHOLE, reason="LITTORAL_TERRAFORM=whole asks for it: the provider waits for a distribution twice"
)
def test_terraform_makes_and_destroys_a_distribution_with_certificates(place: Running, tmp_path: Path) -> None:
    terraform = Terraform(place, tmp_path, "place.tf", "edge/edge.tf")
    first, second = brought("brought.example.org"), brought("brought.example.org")
    (tmp_path / "chain.pem").write_bytes(first.chain)
    for name, each in (("first", first), ("second", second)):
        (tmp_path / f"{name}.crt").write_bytes(each.certificate)
        (tmp_path / f"{name}.key").write_bytes(each.key)
    terraform("init")
    terraform("apply", "-auto-approve")
    terraform("plan", "-detailed-exitcode")
    shows(place, "brought.example.org", first)
    with viewer(place, "www.tf.example.org", (place.process.folder / "ca.pem").read_bytes()) as requested:
        assert names_in(requested.certificate) == {"tf.example.org", "*.tf.example.org"}
    changed = terraform("apply", "-auto-approve", brought="second")
    assert "0 added, 1 changed, 0 destroyed" in changed
    shows(place, "brought.example.org", second, within=10)
    terraform("plan", "-detailed-exitcode", brought="second")
    terraform("destroy", "-auto-approve", brought="second")
    assert place.client("acm").list_certificates()["CertificateSummaryList"] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not WHOLE, reason="LITTORAL_TERRAFORM=whole asks for it: the provider waits for a lifecycle twice")
def test_terraform_makes_changes_and_destroys_the_rest_of_s3(place: Running, tmp_path: Path) -> None:
    place.client("kinesis").create_stream(StreamName="tf-files", ShardCount=1)  # its queue
    terraform = Terraform(place, tmp_path, "place.tf", "more/more.tf")
    terraform("init")
    terraform("apply", "-auto-approve")
    terraform("plan", "-detailed-exitcode")
    s3 = place.client("s3")
    assert s3.get_object(Bucket="tf-site", Key="copied/page.html")["Body"].read() == b"<h1>Ward 7</h1>"
    assert s3.get_bucket_request_payment(Bucket="tf-site")["Payer"] == "Requester"
    changed = terraform("apply", "-auto-approve", later="true")
    assert "0 added, 10 changed, 0 destroyed" in changed
    terraform("plan", "-detailed-exitcode", later="true")
    assert s3.get_object(Bucket="tf-site", Key="old/form")["Body"].read() == b"two"
    assert len(s3.get_bucket_acl(Bucket="tf-site")["Grants"]) == 2
    terraform("destroy", "-auto-approve", later="true")
    assert s3.list_buckets()["Buckets"] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not WHOLE, reason="LITTORAL_TERRAFORM=whole asks for it: half a minute of a processor")
def test_terraform_makes_keys_and_what_they_encrypt(place: Running, tmp_path: Path) -> None:
    terraform = Terraform(place, tmp_path, "place.tf", "keys/keys.tf")
    terraform("init")
    terraform("apply", "-auto-approve")
    terraform("plan", "-detailed-exitcode")
    key = json.loads((tmp_path / "terraform.tfstate").read_text())["outputs"]["key"]["value"]
    assert place.client("s3").head_object(Bucket="tf-sealed", Key="wave")["SSEKMSKeyId"] == key
    changed = terraform("apply", "-auto-approve", later="true")
    assert "0 added, 2 changed, 0 destroyed" in changed
    terraform("plan", "-detailed-exitcode", later="true")
    terraform("destroy", "-auto-approve", later="true")
    assert place.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not WHOLE, reason="LITTORAL_TERRAFORM=whole asks for it: the provider waits for a lifecycle twice")
def test_terraform_takes_in_what_of_s3_was_there_before(place: Running, tmp_path: Path) -> None:
    """Its state lost, as of buckets that somebody made by hand: a place tells enough for it to be written anew."""
    terraform = Terraform(place, tmp_path, "place.tf", "buckets/buckets.tf")
    terraform("init")
    terraform("apply", "-auto-approve")
    state = tmp_path / "terraform.tfstate"
    made = [each for each in json.loads(state.read_text())["resources"] if each["mode"] == "managed"]
    state.unlink()
    blocks = [f'import {{\n to = {each["type"]}.{each["name"]}\n id = "{_name_of(each)}"\n}}' for each in made]
    (tmp_path / "import.tf").write_text("\n".join(blocks))
    taken = terraform("apply", "-auto-approve")
    # no answer of S3's has a bucket's force_destroy and an object's content
    assert f"{len(made)} imported, 0 added, 2 changed, 0 destroyed" in taken
    terraform("plan", "-detailed-exitcode")
    terraform("destroy", "-auto-approve")
    assert place.client("s3").list_buckets()["Buckets"] == []


def _name_of(resource: dict[str, Any]) -> str:
    """By which it is imported."""
    held = resource["instances"][0]["attributes"]
    return f"{held['bucket']}/{held['key']}" if resource["type"] == "aws_s3_object" else held["id"]


NOT_HERE = {  # and what they want; each is refused by name
    "aws_s3_bucket_accelerate_configuration": 'status = "Enabled"',
    "aws_s3_bucket_analytics_configuration": 'name = "a"',
    "aws_s3_bucket_intelligent_tiering_configuration": """name = "t"
      tiering {
        access_tier = "ARCHIVE_ACCESS"
        days        = 90
      }""",
    "aws_s3_bucket_inventory": """name = "i"
      included_object_versions = "All"
      schedule { frequency = "Daily" }
      destination {
        bucket {
          format     = "CSV"
          bucket_arn = aws_s3_bucket.page.arn
        }
      }""",
    "aws_s3_bucket_metric": 'name = "m"',
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not WHOLE, reason="LITTORAL_TERRAFORM=whole asks for it: a quarter of a minute of a processor")
def test_terraform_is_told_what_of_s3_is_not_here(place: Running, tmp_path: Path) -> None:
    terraform = Terraform(place, tmp_path, "place.tf")
    bucket = 'resource "aws_s3_bucket" "page" { bucket = "tf-refused" }'
    asked = [
        f'resource "{kind}" "x" {{\n bucket = aws_s3_bucket.page.id\n {wants}\n}}' for kind, wants in NOT_HERE.items()
    ]
    (tmp_path / "main.tf").write_text("\n".join([bucket, *asked]))
    terraform("init")
    told = terraform("apply", "-auto-approve", status=1)
    assert told.count("StatusCode: 501") == told.count("api error NotImplemented") == len(NOT_HERE), told
    terraform("destroy", "-auto-approve")
