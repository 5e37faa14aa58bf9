"""Models, endpoint configurations and endpoints through SageMaker's API.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpoint.html. A model's bytes are read and kept
when it is made. Instances are this place's own processes: types and counts are kept, and not used.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from littoral.aws.service import Call, Output, operation
from littoral.models.api.packages import Packages
from littoral.models.api.parts import ORDERS, PAGE, Asked, Buckets, Here, bucket_and_key, invalid, only, page, worded
from littoral.models.registry.container import MOST_BYTES
from littoral.models.registry.store import Registry
from littoral.models.registry.version import APPROVED
from littoral.models.serving.answers import MOST_ROWS
from littoral.models.serving.book import UPDATING, Book, Config, Endpoint, Entries, Entry, Model

MODEL: Final = "model"
CONFIG: Final = "endpoint-config"
ENDPOINT: Final = "endpoint"
CONTAINER: Final = (
    "ContainerHostname",
    "Environment",
    "Image",
    "ImageConfig",
    "Mode",
    "ModelDataUrl",
    "ModelPackageName",
)
VARIANT: Final = (
    *("VariantName", "ModelName", "InitialInstanceCount", "InstanceType", "InitialVariantWeight"),
    *("AcceleratorType", "ServerlessConfig", "VolumeSizeInGB", "ContainerStartupHealthCheckTimeoutInSeconds"),
    *("ModelDataDownloadTimeoutInSeconds",),
)
ROWS: Final = "LITTORAL_BATCH_ROWS"  # of requests that run together; what a model's lengths are named counts no more
WAIT: Final = "LITTORAL_BATCH_WAIT_MS"  # that a request waits for company
LONGEST_WAIT: Final = 1000.0


class Endpoints(Packages):
    """A mixin of ``ModelsApi``."""

    def __init__(self, registry: Registry, buckets: Buckets, here: Here, book: Book) -> None:
        super().__init__(registry, buckets, here)
        self._book = book

    # ------------------------------------------------------------------------------------------------ models

    @operation(
        harmless={"EnableNetworkIsolation", "ExecutionRoleArn", "Tags", "VpcConfig"},
        notes="one container: a model package that is approved, or an object of this place; every model is isolated; "
        "Environment: LITTORAL_BATCH_ROWS and LITTORAL_BATCH_WAIT_MS; Image and ImageConfig are kept, and not used",
    )
    async def create_model(
        self,
        call: Call,
        *,
        model_name: str,
        primary_container: Mapping[str, Any] | None = None,
        containers: Sequence[Mapping[str, Any]] = (),
    ) -> Output:
        given = [*([primary_container] if primary_container else []), *containers]
        if len(given) != 1:
            raise invalid("A model here is in one container: PrimaryContainer, or one of Containers.")
        container = dict(given[0])
        only(container, CONTAINER, "PrimaryContainer")
        if container.get("Mode") == "MultiModel":
            raise invalid("PrimaryContainer: Mode MultiModel is not there; a place serves several models as they are.")
        rows, wait = _batching(container.get("Environment") or {})
        self._free(model_name, self._book.models.get(model_name), MODEL)
        sha256, size = await self._kept(container)
        async with self._book.lock:
            self._free(model_name, self._book.models.get(model_name), MODEL)
            await self._book.models.put(Model(model_name, call.now, sha256, size, container, {}, rows, wait))
        self._book.prepare()
        return {"ModelArn": self._here.arn(MODEL, model_name)}

    async def _kept(self, container: Mapping[str, Any]) -> tuple[str, int]:
        package, url = container.get("ModelPackageName"), container.get("ModelDataUrl")
        if bool(package) == bool(url):
            raise invalid("PrimaryContainer: either ModelPackageName or ModelDataUrl is needed.")
        if package:
            version = self._package(package)
            if version.stage != APPROVED:
                raise invalid(f"The model package {package} is not approved: it is {version.stage}.")
            return version.sha256, version.size
        data = await self._buckets.read(*bucket_and_key(str(url)), MOST_BYTES)
        with worded():
            return await self._registry.keep(data)

    def _free(self, name: str, there: object, kind: str) -> None:
        if there is not None:
            raise invalid(f'Cannot create already existing {kind} "{self._here.arn(kind, name)}".')

    def _known(self, kind: str, there: Entries[Entry], name: str) -> Entry:
        found = there.get(name)
        if found is None:
            raise invalid(f'Could not find {kind} "{self._here.arn(kind, name)}".')
        return found

    @operation()
    async def describe_model(self, call: Call, *, model_name: str) -> Output:
        model = self._known(MODEL, self._book.models, model_name)
        return {**self._summary(MODEL, "Model", model), "PrimaryContainer": model.container}

    @operation()
    async def list_models(
        self,
        call: Call,
        *,
        sort_by: str = "CreationTime",
        sort_order: str = "Descending",
        next_token: str = "",
        max_results: int = PAGE,
        name_contains: str = "",
        creation_time_before: float | None = None,
        creation_time_after: float | None = None,
    ) -> Output:
        asked = Asked(
            max_results, next_token, name_contains, creation_time_after, creation_time_before, sort_by, sort_order
        )
        found, more = page(self._book.models.all(), asked)
        return {"Models": [self._summary(MODEL, "Model", each) for each in found], **more}

    @operation()
    async def delete_model(self, call: Call, *, model_name: str) -> Output:
        async with self._book.lock:
            model = self._known(MODEL, self._book.models, model_name)
            await self._book.models.delete(model_name)
            await self._book.forget_bytes(model.sha256)
        return {}

    def _summary(self, kind: str, word: str, entry: Model | Config | Endpoint) -> dict[str, Any]:
        return {
            f"{word}Name": entry.name,
            f"{word}Arn": self._here.arn(kind, entry.name),
            "CreationTime": entry.created,
        }

    # ------------------------------------------------------------------------------------------------ configurations

    @operation(
        harmless={"Tags", "KmsKeyId", "ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation"},
        notes="instance types, counts and ServerlessConfig are kept, and not used",
    )
    async def create_endpoint_config(
        self, call: Call, *, endpoint_config_name: str, production_variants: Sequence[Mapping[str, Any]]
    ) -> Output:
        names = [str(each["VariantName"]) for each in production_variants]
        if len(set(names)) != len(names):
            raise invalid("ProductionVariants: a variant's name is there twice.")
        for each in production_variants:
            only(each, VARIANT, "ProductionVariants")
            self._known(MODEL, self._book.models, str(each.get("ModelName", "")))
        async with self._book.lock:
            self._free(endpoint_config_name, self._book.configs.get(endpoint_config_name), CONFIG)
            await self._book.configs.put(
                Config(
                    endpoint_config_name,
                    call.now,
                    [{"InitialVariantWeight": 1.0, **each} for each in production_variants],
                )
            )
        return {"EndpointConfigArn": self._here.arn(CONFIG, endpoint_config_name)}

    @operation()
    async def describe_endpoint_config(self, call: Call, *, endpoint_config_name: str) -> Output:
        config = self._known(CONFIG, self._book.configs, endpoint_config_name)
        return {**self._summary(CONFIG, "EndpointConfig", config), "ProductionVariants": config.variants}

    @operation()
    async def list_endpoint_configs(
        self,
        call: Call,
        *,
        sort_by: str = "CreationTime",
        sort_order: str = "Descending",
        next_token: str = "",
        max_results: int = PAGE,
        name_contains: str = "",
        creation_time_before: float | None = None,
        creation_time_after: float | None = None,
    ) -> Output:
        asked = Asked(
            max_results, next_token, name_contains, creation_time_after, creation_time_before, sort_by, sort_order
        )
        found, more = page(self._book.configs.all(), asked)
        return {"EndpointConfigs": [self._summary(CONFIG, "EndpointConfig", each) for each in found], **more}

    @operation()
    async def delete_endpoint_config(self, call: Call, *, endpoint_config_name: str) -> Output:
        async with self._book.lock:
            self._known(CONFIG, self._book.configs, endpoint_config_name)
            users = [
                each.name for each in self._book.endpoints.all() if endpoint_config_name in {each.config, each.wanted}
            ]
            if users:
                raise invalid(f"The endpoint {users[0]} has this configuration: delete or update it first.")
            await self._book.configs.delete(endpoint_config_name)
        return {}

    # ------------------------------------------------------------------------------------------------ endpoints

    @operation(harmless={"Tags"})
    async def create_endpoint(self, call: Call, *, endpoint_name: str, endpoint_config_name: str) -> Output:
        async with self._book.lock:
            self._free(endpoint_name, self._book.endpoints.get(endpoint_name), ENDPOINT)
            self._known(CONFIG, self._book.configs, endpoint_config_name)
            made = Endpoint(endpoint_name, call.now, call.now, "", endpoint_config_name)
            await self._book.endpoints.put(made)
            self._book.change(made)
        return {"EndpointArn": self._here.arn(ENDPOINT, endpoint_name)}

    @operation(harmless={"RetainAllVariantProperties", "ExcludeRetainedVariantProperties", "RetainDeploymentConfig"})
    async def update_endpoint(self, call: Call, *, endpoint_name: str, endpoint_config_name: str) -> Output:
        """The new configuration counts once all of its models are loaded; where one cannot be, the old one goes on, and
        FailureReason says why."""
        async with self._book.lock:
            before = self._known(ENDPOINT, self._book.endpoints, endpoint_name)
            self._known(CONFIG, self._book.configs, endpoint_config_name)
            if before.wanted:
                raise invalid(f"Cannot update in-progress endpoint {self._here.arn(ENDPOINT, endpoint_name)}.")
            after = replace(before, wanted=endpoint_config_name, status=UPDATING, failure="", changed=time.time())
            await self._book.endpoints.put(after)
            self._book.change(after)
        return {"EndpointArn": self._here.arn(ENDPOINT, endpoint_name)}

    @operation()
    async def describe_endpoint(self, call: Call, *, endpoint_name: str) -> Output:
        endpoint = self._known(ENDPOINT, self._book.endpoints, endpoint_name)
        config = self._book.configs.get(endpoint.config)
        shown = {**self._endpoint_shown(endpoint), "EndpointConfigName": endpoint.config or endpoint.wanted}
        if config is not None:
            shown["ProductionVariants"] = [
                {
                    "VariantName": each["VariantName"],
                    "CurrentWeight": each["InitialVariantWeight"],
                    "DesiredWeight": each["InitialVariantWeight"],
                }
                for each in config.variants
            ]
        return {**shown, **({"FailureReason": endpoint.failure} if endpoint.failure else {})}

    @operation()
    async def list_endpoints(
        self,
        call: Call,
        *,
        sort_by: str = "CreationTime",
        sort_order: str = "Descending",
        next_token: str = "",
        max_results: int = PAGE,
        name_contains: str = "",
        creation_time_before: float | None = None,
        creation_time_after: float | None = None,
        last_modified_time_before: float | None = None,
        last_modified_time_after: float | None = None,
        status_equals: str = "",
    ) -> Output:
        known = [
            each
            for each in self._book.endpoints.all()
            if status_equals in {"", each.status}
            and (last_modified_time_before is None or each.changed < last_modified_time_before)
            and (last_modified_time_after is None or each.changed > last_modified_time_after)
        ]
        asked = Asked(
            max_results, next_token, name_contains, creation_time_after, creation_time_before, sort_by, sort_order
        )
        found, more = page(known, asked, {**ORDERS, "Status": "status"})
        return {"Endpoints": [self._endpoint_shown(each) for each in found], **more}

    @operation()
    async def delete_endpoint(self, call: Call, *, endpoint_name: str) -> Output:
        async with self._book.lock:
            self._known(ENDPOINT, self._book.endpoints, endpoint_name)
            await self._book.endpoints.delete(endpoint_name)
        return {}

    def _endpoint_shown(self, endpoint: Endpoint) -> dict[str, Any]:
        return {
            **self._summary(ENDPOINT, "Endpoint", endpoint),
            "LastModifiedTime": endpoint.changed,
            "EndpointStatus": endpoint.status,
        }


def _batching(environment: Mapping[str, str]) -> tuple[int, float]:
    """Rows and seconds. Raises ValidationException."""
    try:
        rows, wait = int(environment.get(ROWS, 0)), float(environment.get(WAIT, 0.0))
    except ValueError as problem:
        raise invalid(f"Environment: {problem}") from problem
    if not 0 <= rows <= MOST_ROWS or not 0.0 <= wait <= LONGEST_WAIT:
        raise invalid(f"Environment: {ROWS} is 0 to {MOST_ROWS}, {WAIT} 0 to {LONGEST_WAIT:g}.")
    return rows, wait / 1000.0
