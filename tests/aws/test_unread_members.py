"""What the model lets through, somebody looks at: a nested member that no source names is left out, with a 200.

The signature of an operation says what is honoured of its members, and the wire refuses what the model does not have.
Between the two lie the members of members. A newer botocore brings more of them, and they are named here first.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.model import Shape

from littoral.aws import models
from littoral.aws.registry import operations
from littoral.objects.checksums import ALGORITHMS
from littoral.site.services import api_classes

SOURCES = Path(__file__).parents[2] / "src/littoral"
BESIDE = {"dynamodb": ["protocols/dynamodb"]}
UNNAMED: dict[str, dict[str, str]] = {  # by a run of names of their path
    "s3": {
        "BucketLoggingStatus.LoggingEnabled.TargetObjectKeyFormat.SimplePrefix": "what is not PartitionedPrefix",
        "CreateBucketConfiguration.Bucket.DataRedundancy": "all but LocationConstraint and Tags is refused",
        **{f"MultipartUpload.Parts.{each.member}": "made of its algorithm's name" for each in ALGORITHMS.values()},
        "NotificationConfiguration.LambdaFunctionConfigurations": "made of its kind's name",
        "NotificationConfiguration.QueueConfigurations": "likewise",
        "NotificationConfiguration.TopicConfigurations": "likewise",
        "ReplicationConfiguration.Rules.Destination.EncryptionConfiguration.ReplicaKmsKeyID": "refused above it",
        "ReplicationConfiguration.Rules.Destination.Metrics.EventThreshold": "likewise",
        "ReplicationConfiguration.Rules.Destination.ReplicationTime.Time.Minutes": "likewise",
        "RestoreRequest.Description": "of a query, and those are refused",
        "RestoreRequest.GlacierJobParameters": "restoring takes no time, whatever the tier",
        "RestoreRequest.OutputLocation.S3": "refused above it",
        "RestoreRequest.SelectParameters.Expression": "likewise",
        "RestoreRequest.SelectParameters.ExpressionType": "likewise",
        "RestoreRequest.SelectParameters.InputSerialization": "likewise",
        "RestoreRequest.SelectParameters.OutputSerialization": "likewise",
        "RestoreRequest.Tier": "restoring takes no time, whatever the tier",
    },
    "dynamodb": {
        "SSESpecification.SSEType": "of a specification that is enabled, and those are refused",
        "OnDemandThroughput.MaxReadRequestUnits": "refused above it",
        "OnDemandThroughput.MaxWriteRequestUnits": "likewise",
    },
    "kinesis": {"ShardFilter.Timestamp": "all shards are open at any time"},
    "lambda": {
        "FileSystemConfigs.LocalMountPath": "refused above it",
        "FileSystemConfigs.S3FilesConfig": "likewise",
    },
    "snowball": {
        **dict.fromkeys(("Ec2AmiResources", "LambdaResources"), "refused above it"),
        **dict.fromkeys(
            ("Company", "Landmark", "PrefectureOrDistrict"), "an address is kept whole: nobody ships by it"
        ),
        **dict.fromkeys(("Address.Type", "StateOrProvince", "Street2", "Street3"), "likewise"),
    },
    "iot": {
        **dict.fromkeys(
            ("cloudwatchAlarm", "elasticsearch", "influxDB", "iotAnalytics", "iotEvents"), "refused above it"
        ),
        **dict.fromkeys(("iotSiteWise", "kafka", "location", "openSearch", "salesforce", "stepFunctions"), "likewise"),
        **dict.fromkeys(("timestream", "influxDBConfiguration", "vpcConfiguration"), "likewise"),
        **dict.fromkeys(("http.batchConfig", "http.enableBatching"), "what an action does not read is refused"),
        **dict.fromkeys(("includeSocketInformation", "geoLocations"), "refused above it"),
        "managedFields": "kept and told: they are the index's own",
    },
    "cloudfront": {
        **dict.fromkeys(("OriginMtlsConfig", "VpcOriginConfig", "TenantConfig"), "refused by its path"),
        **dict.fromkeys(
            ("CustomOriginConfig.IpAddressType", "IAMCertificateId", "IgnoreCertificateExpiry"), "likewise"
        ),
        "AdvertiseTrustStoreCaNames": "its operations' notes say so",
        "CaCertificatesBundleS3Location.Region": "likewise",
        "KinesisStreamConfig.RoleARN": "likewise",
        "RealtimeMetricsSubscriptionConfig": "likewise",
        "ImportSource.SourceType": "the model has S3 alone",
    },
    "wafv2": {
        "MatchPattern.All": "the one that is none of the others",
        "OverrideAction.None": "likewise",
        "Monetize": "refused by its kind",
        "ManagedRuleGroupConfigs": "refused above it",
        "CloudWatchMetricsEnabled": "its operations' notes say so",
    },
    "events": {
        **dict.fromkeys(("AppSyncParameters", "BatchParameters", "DeadLetterConfig", "EcsParameters"), "refused"),
        **dict.fromkeys(("HttpParameters", "RedshiftDataParameters", "RunCommandParameters"), "likewise"),
        **dict.fromkeys(("SageMakerPipelineParameters", "SqsParameters"), "likewise"),
        "TraceHeader": "its operation's notes say so",
    },
    "scheduler": {
        **dict.fromkeys(("DeadLetterConfig", "EcsParameters", "EventBridgeParameters"), "refused"),
        **dict.fromkeys(("EventBridgePutEventsV2Parameters", "EventBridgePutRawEventsParameters"), "likewise"),
        **dict.fromkeys(("SageMakerPipelineParameters", "SqsParameters"), "likewise"),
    },
    "greengrassv2": {
        "iotJobConfiguration": "handed on whole to the job",
        **dict.fromkeys(
            ("containerParams.devices", "containerParams.mountROSysfs", "containerParams.volumes"), "refused"
        ),
    },
    "sagemaker": {
        **dict.fromkeys(("ImageConfig", "ServerlessConfig"), "its operations' notes say so"),
        **dict.fromkeys(("AlgorithmSpecification", "ResourceConfig"), "what is not known is refused"),
        **dict.fromkeys(("Containers", "PrimaryContainer", "ProductionVariants"), "likewise"),
        **dict.fromkeys(("DatasetSource", "FileSystemDataSource", "ShuffleConfig"), "refused"),
        **dict.fromkeys(("AttributeNames", "InstanceGroupNames"), "what is not known of a source is refused"),
        **dict.fromkeys(("HubAccessConfig", "ModelAccessConfig"), "likewise"),
        "ProfilerConfig": "refused unless it disables the profiler",
        **dict.fromkeys(("SupportedContentTypes", "SupportedResponseMIMETypes"), "kept and told, as AWS does"),
        **dict.fromkeys(("MetadataProperties", "ModelLifeCycle", "ModelMetrics"), "likewise"),
        **dict.fromkeys(
            ("SupportedRealtimeInferenceInstanceTypes", "SupportedTransformInstanceTypes"),
            "its operation's notes say so",
        ),
    },
    **{each: {} for each in ("acm", "cloudfront-keyvaluestore", "dynamodbstreams", "iot-data", "iot-jobs-data")},
    **{each: {} for each in ("iotsecuretunneling", "kms", "logs", "sagemaker-runtime", "secretsmanager")},
    **{each: {} for each in ("shield", "sts")},
}


@pytest.mark.parametrize("service", UNNAMED)
def test_every_nested_member_is_named_by_somebody(service: str) -> None:
    classes = api_classes(service)
    folders = {each.__module__.split(".")[1] for each in classes} | set(BESIDE.get(service, ()))
    named = set().union(*(names(SOURCES / each) for each in folders))
    found: set[str] = set()
    for name, operation in operations(service, tuple(map(object.__new__, classes))).items():
        shape = models.operation_model(service, name).input_shape
        for member in operation.honoured:
            found |= set(unnamed(shape.members[member], (member,), named))
    known = UNNAMED[service]
    assert {next((run for run in known if f".{run}." in f".{path}."), path) for path in found} == known.keys()


def names(folder: Path) -> set[str]:
    """Strings that sources of the folder have."""
    trees = (ast.parse(file.read_text()) for file in folder.rglob("*.py"))
    return {
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def unnamed(shape: Shape, path: tuple[str, ...], named: set[str]) -> Iterator[str]:
    """The topmost of each branch."""
    if shape.type_name in {"list", "map"}:
        yield from unnamed(shape.member if shape.type_name == "list" else shape.value, path, named)
    elif shape.type_name == "structure":
        for name, member in shape.members.items():
            if name not in named:
                yield ".".join((*path, name))
            elif name not in path:
                yield from unnamed(member, (*path, name), named)
