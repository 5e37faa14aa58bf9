"""Which class speaks for which AWS service, without making a place: what ``littoral coverage`` prints from.

Owns: the table. A place composes the objects themselves (``site.region`` and its siblings).
"""

from __future__ import annotations

from importlib import import_module

# botocore's name of the service → where its class is, or its classes, by spaces, where capabilities share a service.
# Imported when asked for: printing one must not load all.
API_CLASSES: dict[str, str] = {
    "acm": "littoral.certificates.api:CertificatesApi",
    "cloudfront": "littoral.edge.cloudfront:CloudFront",
    "cloudfront-keyvaluestore": "littoral.edge.keyvalue:KeyValueStoreData",
    "dynamodb": "littoral.tables.api:DynamoDB",
    "dynamodbstreams": "littoral.tables.api.streams:DynamoDBStreams",
    "events": "littoral.schedules.api:EventsApi",
    "greengrassv2": "littoral.core.greengrass:Greengrass",
    "iot": "littoral.things.control:Iot",
    "iot-data": "littoral.things.data:IotData",
    "iot-jobs-data": "littoral.things.jobs.data:IotJobsData",
    "iotsecuretunneling": "littoral.things.control.tunneling:SecureTunneling",
    "kinesis": "littoral.streams.api:KinesisApi",
    "kms": "littoral.kms.api:KmsApi",
    "lambda": "littoral.functions.api:LambdaApi",
    "logs": "littoral.functions.logs.api:LogsApi",
    "s3": "littoral.objects.api:S3Api",
    "sagemaker": "littoral.models.api.sagemaker:ModelsApi littoral.training.api:TrainingApi",
    "sagemaker-runtime": "littoral.models.api.runtime:RuntimeApi",
    "scheduler": "littoral.schedules.api:SchedulerApi",
    "secretsmanager": "littoral.secrets.api:SecretsApi",
    "shield": "littoral.edge.ddos.api:Shield",
    "snowball": "littoral.box.region.api:SnowballApi",
    "sts": "littoral.aws.identity:Sts",
    "wafv2": "littoral.edge.waf.api:Wafv2",
}


def api_classes(service: str) -> tuple[type, ...]:
    """Raises KeyError for a service that is not there."""
    return tuple(_class(each) for each in API_CLASSES[service].split())


def api_class(service: str) -> type:
    """Of a service that is one class. Raises KeyError, ValueError."""
    (found,) = api_classes(service)
    return found


def _class(where: str) -> type:
    module, _, name = where.partition(":")
    found: type = getattr(import_module(module), name)
    return found
