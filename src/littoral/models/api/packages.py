"""The registry through SageMaker's API: model package groups, and the model packages in them, which are its versions.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html. A package's bytes are read from
its object and kept when it is made; ModelApprovalStatus is its stage. Only packages in groups, of one container.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.models.api.parts import PAGE, Asked, Buckets, Here, bucket_and_key, invalid, only, page, tags_of, worded
from littoral.models.registry.container import MOST_BYTES
from littoral.models.registry.refusal import BadName
from littoral.models.registry.store import Group, Registry
from littoral.models.registry.version import PENDING, Version

GROUP: Final = "model-package-group"
PACKAGE: Final = "model-package"
CONTAINER: Final = (
    *("ContainerHostname", "Environment", "Framework", "FrameworkVersion", "Image", "ImageDigest", "ModelDataSource"),
    *("ModelDataUrl", "NearestModelName", "ModelDataETag"),
)


class Packages:
    """Groups and packages; a mixin of ``ModelsApi``."""

    def __init__(self, registry: Registry, buckets: Buckets, here: Here) -> None:
        self._registry = registry
        self._buckets = buckets
        self._here = here

    # ------------------------------------------------------------------------------------------------ groups

    @operation()
    async def create_model_package_group(
        self,
        call: Call,
        *,
        model_package_group_name: str,
        model_package_group_description: str = "",
        tags: Sequence[Mapping[str, str]] = (),
    ) -> Output:
        arn = self._here.arn(GROUP, model_package_group_name)
        try:
            await self._registry.create_group(model_package_group_name, model_package_group_description, tags_of(tags))
        except BadName as problem:
            raise invalid(f"Model Package Group cannot be created: {problem}") from problem
        return {"ModelPackageGroupArn": arn}

    @operation()
    async def describe_model_package_group(self, call: Call, *, model_package_group_name: str) -> Output:
        group = self._group(model_package_group_name)
        return {**self._group_shown(group), "CreatedBy": {}}

    @operation(harmless={"CrossAccountFilterOption"})
    async def list_model_package_groups(
        self,
        call: Call,
        *,
        creation_time_after: float | None = None,
        creation_time_before: float | None = None,
        max_results: int = PAGE,
        name_contains: str = "",
        next_token: str = "",
        sort_by: str = "CreationTime",
        sort_order: str = "Ascending",
    ) -> Output:
        asked = Asked(
            max_results, next_token, name_contains, creation_time_after, creation_time_before, sort_by, sort_order
        )
        found, more = page(self._registry.groups(), asked)
        return {"ModelPackageGroupSummaryList": [self._group_shown(each) for each in found], **more}

    @operation()
    async def delete_model_package_group(self, call: Call, *, model_package_group_name: str) -> Output:
        group = self._group(model_package_group_name)
        try:
            await self._registry.delete_group(group.name)
        except BadName as problem:
            raise ServiceError("ConflictException", str(problem), status=400) from problem
        return {}

    def _group(self, given: str) -> Group:
        with worded():
            return self._registry.group(self._here.name(GROUP, given))

    def _group_shown(self, group: Group) -> dict[str, Any]:
        return {
            "ModelPackageGroupName": group.name,
            "ModelPackageGroupArn": self._here.arn(GROUP, group.name),
            **({"ModelPackageGroupDescription": group.description} if group.description else {}),
            "CreationTime": group.created,
            "ModelPackageGroupStatus": "Completed",
        }

    # ------------------------------------------------------------------------------------------------ packages

    @operation(
        harmless={"SkipModelValidation"},
        notes="one container, its model an object of this place: an ONNX file, or a model.tar.gz with one; image and "
        "instance types are kept and not used",
    )
    async def create_model_package(
        self,
        call: Call,
        *,
        model_package_group_name: str = "",
        model_package_description: str = "",
        inference_specification: Mapping[str, Any] | None = None,
        model_approval_status: str = PENDING,
        metadata_properties: Mapping[str, str] | None = None,
        model_metrics: Mapping[str, Any] | None = None,
        client_token: str = "",
        domain: str = "",
        task: str = "",
        sample_payload_url: str = "",
        customer_metadata_properties: Mapping[str, str] | None = None,
        source_uri: str = "",
        model_life_cycle: Mapping[str, str] | None = None,
    ) -> Output:
        if not model_package_group_name or inference_specification is None:
            raise invalid(
                "A model package here is a version: ModelPackageGroupName and InferenceSpecification are needed."
            )
        group = self._group(model_package_group_name)
        url = self._model_data(inference_specification)
        data = await self._buckets.read(*bucket_and_key(url), MOST_BYTES)
        said = {
            "InferenceSpecification": inference_specification,
            "MetadataProperties": metadata_properties,
            "ModelMetrics": model_metrics,
            "Domain": domain,
            "Task": task,
            "SamplePayloadUrl": sample_payload_url,
            "SourceUri": source_uri,
            "ModelLifeCycle": model_life_cycle,
        }
        with worded():
            made = await self._registry.register(
                group.name,
                data,
                properties=customer_metadata_properties,
                description=model_package_description,
                stage=model_approval_status,
                said={key: value for key, value in said.items() if value},
                token=client_token,
            )
        return {"ModelPackageArn": self._arn(made)}

    def _model_data(self, specification: Mapping[str, Any]) -> str:
        containers = specification["Containers"]
        if len(containers) != 1:
            raise invalid("InferenceSpecification: a model here is in one container.")
        container = containers[0]
        only(container, CONTAINER, "InferenceSpecification.Containers")
        source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
        only(source, ("S3Uri", "S3DataType", "CompressionType"), "ModelDataSource.S3DataSource")
        if source and source.get("S3DataType") != "S3Object":
            raise invalid("ModelDataSource: a model here is one object (S3DataType S3Object).")
        url = container.get("ModelDataUrl") or source.get("S3Uri")
        if not url:
            raise invalid("InferenceSpecification.Containers: ModelDataUrl is needed: s3://bucket/model.onnx.")
        return str(url)

    @operation(notes="IncludedData MetadataOnly gives the same: nothing large is in it")
    async def describe_model_package(
        self, call: Call, *, model_package_name: str, included_data: str = "AllData"
    ) -> Output:
        """With the place's own CustomerMetadataProperties: littoral.sha256, .size, .signature and .key."""
        version = self._package(model_package_name)
        return {
            **self._package_shown(version),
            **version.said,
            "ModelPackageName": version.name,
            "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
            "CertifyForMarketplace": False,
            "CustomerMetadataProperties": version.shown,
            "LastModifiedTime": version.changed,
            **({"ApprovalDescription": version.approval} if version.approval else {}),
        }

    @operation()
    async def list_model_packages(
        self,
        call: Call,
        *,
        creation_time_after: float | None = None,
        creation_time_before: float | None = None,
        max_results: int = PAGE,
        name_contains: str = "",
        model_approval_status: str = "",
        model_package_group_name: str = "",
        model_package_type: str = "Unversioned",
        next_token: str = "",
        sort_by: str = "CreationTime",
        sort_order: str = "Ascending",
    ) -> Output:
        """Without a group it lists packages outside of any, of which there are none, unless the type says otherwise."""
        versions: list[Version] = []
        if model_package_group_name:
            versions = self._registry.versions(self._group(model_package_group_name).name)
        elif model_package_type != "Unversioned":
            versions = [each for group in self._registry.groups() for each in self._registry.versions(group.name)]
        staged = [each for each in versions if model_approval_status in {"", each.stage}]
        asked = Asked(
            max_results, next_token, name_contains, creation_time_after, creation_time_before, sort_by, sort_order
        )
        found, more = page(staged, asked)
        return {"ModelPackageSummaryList": [self._package_shown(each) for each in found], **more}

    @operation()
    async def update_model_package(
        self,
        call: Call,
        *,
        model_package_arn: str,
        model_approval_status: str | None = None,
        approval_description: str | None = None,
        customer_metadata_properties: Mapping[str, str] | None = None,
        customer_metadata_properties_to_remove: Sequence[str] = (),
        source_uri: str = "",
        model_life_cycle: Mapping[str, str] | None = None,
    ) -> Output:
        version = self._package(model_package_arn)
        said = {"SourceUri": source_uri, "ModelLifeCycle": model_life_cycle}
        with worded():
            changed = await self._registry.change(
                version.name,
                version.number,
                stage=model_approval_status,
                approval=approval_description,
                properties=customer_metadata_properties,
                without=tuple(customer_metadata_properties_to_remove),
                said={key: value for key, value in said.items() if value},
            )
        return {"ModelPackageArn": self._arn(changed)}

    @operation()
    async def delete_model_package(self, call: Call, *, model_package_name: str) -> Output:
        version = self._package(model_package_name)
        await self._registry.delete(version.name, version.number)
        return {}

    def _package(self, given: str) -> Version:
        """By ARN, or as ``group/number``. Raises ValidationException."""
        name, _, number = self._here.name(PACKAGE, given).partition("/")
        if not number.isdigit():
            raise invalid(f"ModelPackage {given} does not exist.")
        with worded():
            return self._registry.version(name, int(number))

    def _arn(self, version: Version) -> str:
        return self._here.arn(PACKAGE, f"{version.name}/{version.number}")

    def _package_shown(self, version: Version) -> dict[str, Any]:
        return {
            "ModelPackageGroupName": version.name,
            "ModelPackageVersion": version.number,
            "ModelPackageArn": self._arn(version),
            **({"ModelPackageDescription": version.description} if version.description else {}),
            "CreationTime": version.created,
            "ModelPackageStatus": "Completed",
            "ModelApprovalStatus": version.stage,
        }
