"""Component versions: made of Lambda functions, listed, described, deleted; and what cores ask about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from littoral.aws.service import Call, Output, ServiceError, operation
from littoral.core.nucleus.manifest import EVERYWHERE, manifest_of
from littoral.core.nucleus.recipe import GENERIC, Artifact, artifacts_of, dependencies_of, generic_of
from littoral.core.ports import Allows, ArtifactObjects, FunctionCatalog
from littoral.core.public import PUBLIC
from littoral.core.recipe import ARTIFACT, LAMBDA, LAYER, LINUX, BadComponent, is_aws, lambda_recipe
from littoral.core.recipetext import as_json, as_yaml, read
from littoral.core.region.blocks import ArtifactBlocks
from littoral.core.region.names import (
    check_name,
    check_version,
    component_arn,
    conflict,
    denied,
    invalid,
    listing,
    not_found,
    operators_only,
    page,
    parse_component,
    parse_component_version,
    version_arn,
)
from littoral.core.region.state import State, everything, newest_first
from littoral.core.region.tags import checked_tags
from littoral.core.resolving import said, suits
from littoral.protocols.blocks import Manifest
from littoral.store.documents import Document

KIND = "component"
PLATFORMS: Sequence[Mapping[str, Any]] = [{"name": "Linux", "attributes": LINUX}]
PROVIDED = frozenset(PUBLIC)  # what a core plays by itself


class Components:
    def __init__(self, state: State, functions: FunctionCatalog, objects: ArtifactObjects, allows: Allows) -> None:
        self._state = state
        self._functions = functions
        self._objects = objects
        self._blocks = ArtifactBlocks(objects)
        self._allows = allows

    @operation(notes="inlineRecipe (JSON or YAML): artifacts s3://…; lambdaFunction: no volumes, devices, mountROSysfs")
    async def create_component_version(
        self,
        call: Call,
        *,
        inline_recipe: bytes | None = None,
        lambda_function: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        client_token: str | None = None,
    ) -> Output:
        operators_only(call)
        if (inline_recipe is None) == (lambda_function is None):
            raise invalid("Either inlineRecipe or lambdaFunction is required")

        async def create() -> Output:
            if lambda_function is not None:
                return await self._create_of_function(call, lambda_function, tags)
            recipe = await self._with_digests(_inline(inline_recipe or b""))
            return await self._create(call, recipe, PLATFORMS, tags)

        async with self._state.lock:
            return await self._state.once(client_token, create)

    async def _create_of_function(
        self, call: Call, source: Mapping[str, Any], tags: Mapping[str, str] | None
    ) -> Output:
        arn = source["lambdaArn"]
        function = await self._functions.describe(call, arn)
        name = check_name(source.get("componentName") or function.get("FunctionName"))
        version = check_version(source.get("componentVersion") or f"{function.get('Version')}.0.0")
        try:
            parameters = source.get("componentLambdaParameters") or {}
            layers = [digest for digest, _ in await self._functions.layers(call, arn)]
            platforms = source.get("componentPlatforms") or PLATFORMS
            attributes = [each.get("attributes") or {} for each in platforms]
            recipe = lambda_recipe(name, version, arn, function, parameters, layers, attributes)
            recipe["ComponentDependencies"] = {
                other: {
                    "VersionRequirement": each.get("versionRequirement", "*"),
                    "DependencyType": each.get("dependencyType", "HARD"),
                }
                for other, each in (source.get("componentDependencies") or {}).items()
            }
            _check_dependencies(name, recipe)
        except BadComponent as problem:
            raise invalid(str(problem)) from problem
        return await self._create(call, recipe, platforms, tags)

    async def _with_digests(self, recipe: Mapping[str, Any]) -> Mapping[str, Any]:
        """With what the artifacts are now, as AWS notes it. Raises ValidationException."""
        manifests = [dict(each) for each in recipe.get("Manifests") or ()]
        for manifest in manifests:
            made = artifacts_of(recipe["ComponentName"], manifest)
            listed = zip(made, manifest.get("Artifacts") or (), strict=True)
            manifest["Artifacts"] = [await self._with_digest(artifact, given) for artifact, given in listed]
        return {**recipe, "Manifests": manifests}

    async def _with_digest(self, artifact: Artifact, given: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            digest = await self._objects.sha256(artifact.bucket, artifact.key)
        except ServiceError as problem:
            raise invalid(f"The artifact s3://{artifact.name} cannot be read: {problem}") from problem
        if artifact.sha256 not in ("", digest):
            raise invalid(f"The Digest of s3://{artifact.name} is not that of the object, {digest}")
        kept = {key: each for key, each in given.items() if key.lower() not in ("digest", "algorithm")}
        return {**kept, "Digest": digest, "Algorithm": "SHA-256"}

    async def _create(
        self, call: Call, recipe: Mapping[str, Any], platforms: Sequence[Any], tags: Mapping[str, str] | None
    ) -> Output:
        name, version = recipe["ComponentName"], recipe["ComponentVersion"]
        made = version_arn(call, name, version)
        if await self._state.components.get(f"{name}/{version}") is not None:
            raise conflict(f"{made} exists, and a component version never changes", made, KIND)
        document = {
            "name": name,
            "version": version,
            "created": call.now,
            "recipe": recipe,
            "platforms": platforms,
            "tags": checked_tags(tags or {}),
        }
        await self._state.components.put(f"{name}/{version}", document, expect=0)
        return {**_summary(call, document), "status": {"componentState": "DEPLOYABLE"}}

    @operation()
    async def get_component(self, call: Call, *, arn: str, recipe_output_format: str = "JSON") -> Output:
        operators_only(call)
        document = await self._component(arn)
        return {
            "recipeOutputFormat": recipe_output_format,
            "recipe": (as_yaml if recipe_output_format == "YAML" else as_json)(document["recipe"]),
            "tags": document["tags"],
        }

    @operation()
    async def describe_component(self, call: Call, *, arn: str) -> Output:
        operators_only(call)
        document = await self._component(arn)
        return {
            **_summary(call, document),
            **_words(document),
            "status": {"componentState": "DEPLOYABLE"},
            "platforms": document["platforms"],
            "tags": document["tags"],
        }

    @operation()
    async def list_components(
        self, call: Call, *, scope: str | None = None, max_results: int | None = None, next_token: str | None = None
    ) -> Output:
        operators_only(call)
        documents = [each for _, each in await everything(self._state.components)] if scope != "PUBLIC" else []
        together = groupby(documents, key=lambda each: str(each["name"]))  # as they lie, by the order of their keys
        newest = {name: newest_first(versions)[0] for name, versions in together}
        rows = []
        for name, latest in sorted(newest.items()):
            summary = _summary(call, latest)
            summary.pop("componentName")
            described = {**summary, **_words(latest), "platforms": latest["platforms"]}
            rows.append((name, {"arn": component_arn(call, name), "componentName": name, "latestVersion": described}))
        return listing("components", *page(rows, next_token, max_results))

    @operation()
    async def list_component_versions(
        self, call: Call, *, arn: str, max_results: int | None = None, next_token: str | None = None
    ) -> Output:
        """Of a component that is not there none: AWS's gdk asks so for the version that is next."""
        operators_only(call)
        name, _ = parse_component(arn)
        rows = []
        for each in await self._state.versions(name):
            summary = _summary(call, each)
            summary.pop("creationTimestamp")
            rows.append((each["version"], summary))
        return listing("componentVersions", *page(rows, next_token, max_results))

    @operation()
    async def delete_component(self, call: Call, *, arn: str) -> Output:
        """Cores that run it go on running it."""
        operators_only(call)
        name, version = parse_component_version(arn)
        if not await self._state.components.delete(f"{name}/{version}"):
            raise not_found(arn, KIND)
        return {}

    # ------------------------------------------------------------------------------- the cores' data plane

    @operation()
    async def resolve_component_candidates(
        self,
        call: Call,
        *,
        platform: Mapping[str, Any] | None = None,
        component_candidates: Sequence[Mapping[str, Any]] | None = None,
    ) -> Output:
        """Of each the newest version that all requirements take and that runs on the platform."""
        resolved = []
        for candidate in component_candidates or ():
            name = candidate.get("componentName") or ""
            arn = component_arn(call, name)
            self._admit(call, "greengrass:ResolveComponentCandidates", arn)
            for document in await self._state.versions(name):
                if _suits(document["version"], candidate) and _runs_on(document["recipe"], platform):
                    recipe = as_json(document["recipe"])
                    summary = _summary(call, document)
                    summary.pop("creationTimestamp")
                    resolved.append({**summary, "recipe": recipe, "vendorGuidance": "ACTIVE"})
                    break
            else:
                asked = candidate.get("versionRequirements") or {"this call": f"={candidate.get('componentVersion')}"}
                raise not_found(f"A version of {name} that is {said(asked)}", KIND)
        return {"resolvedComponentVersions": resolved}

    @operation(harmless={"s3EndpointType", "iotEndpointType"})
    async def get_component_version_artifact(self, call: Call, *, arn: str, artifact_name: str) -> Output:
        self._admit(call, "greengrass:GetComponentVersionArtifact", arn)
        document = await self._component(arn)
        if document["recipe"].get("ComponentType") != LAMBDA:
            return {"preSignedUrl": self._url(call, document["recipe"], arn, artifact_name)}
        source = document["recipe"].get("ComponentSource", "")
        if artifact_name == ARTIFACT:
            return {"preSignedUrl": await self._functions.code_url(call, source)}
        for number, (_, url) in enumerate(await self._functions.layers(call, source), 1):
            if artifact_name == LAYER.format(number):
                return {"preSignedUrl": url}
        raise not_found(f"{arn} artifact {artifact_name}", "artifact")

    def _url(self, call: Call, recipe: Mapping[str, Any], arn: str, artifact_name: str) -> str:
        found = _artifact(recipe, arn, artifact_name)
        return self._objects.url(call, found.bucket, found.key)

    async def artifact_blocks(self, arn: str, artifact_name: str) -> Manifest | None:
        """What a program's artifact consists of; None where its object is not what it was. Raises ServiceError."""
        document = await self._component(arn)
        return await self._blocks.of(_artifact(document["recipe"], arn, artifact_name))

    def _admit(self, call: Call, action: str, resource: str) -> None:
        if call.principal.kind == "certificate" and not self._allows(call, action, resource):
            raise denied(f"No policy of this certificate allows {action} on {resource}")

    async def _component(self, arn: str) -> Document:
        name, version = parse_component_version(arn)
        document = await self._state.components.get(f"{name}/{version}")
        if document is None:
            raise not_found(arn, KIND)
        return document


def _artifact(recipe: Mapping[str, Any], arn: str, name: str) -> Artifact:
    """Raises ResourceNotFoundException."""
    for manifest in recipe.get("Manifests") or ():
        for each in artifacts_of(recipe["ComponentName"], manifest) if recipe.get("ComponentType") != LAMBDA else ():
            if each.name == name.removeprefix("//"):
                return each
    raise not_found(f"{arn} artifact {name}", "artifact")


def _inline(recipe: bytes) -> Mapping[str, Any]:
    """A recipe as JSON or YAML, checked. Raises ValidationException."""
    try:
        found = read(recipe)
    except ValueError as problem:
        raise invalid(f"The recipe is neither JSON nor YAML: {problem}") from problem
    if not isinstance(found, dict):
        raise invalid("The recipe is not an object")
    if found.get("ComponentType", GENERIC) != GENERIC:
        raise invalid(f"Littoral's cores run a recipe of ComponentType {GENERIC} only")
    check_name(str(found.get("ComponentName", "")))
    check_version(str(found.get("ComponentVersion", "")))
    try:
        made = generic_of(found, {"os": "linux", **EVERYWHERE})
        for manifest in found.get("Manifests") or ():
            generic_of({**found, "Manifests": [{**manifest, "Platform": {}}]}, EVERYWHERE)
            if not all(each.bucket for each in artifacts_of(made.name, manifest)):
                raise BadComponent("the URI of an artifact must be s3://BUCKET/KEY")
    except (BadComponent, TypeError, ValueError) as problem:
        raise invalid(f"The recipe cannot be run: {problem}") from problem
    _check_dependencies(made.name, found)
    return found


def _check_dependencies(name: str, recipe: Mapping[str, Any]) -> None:
    """Those of one's own may be created later. Raises ValidationException."""
    try:
        hard, soft = dependencies_of(name, recipe)
    except BadComponent as problem:
        raise invalid(str(problem)) from problem
    for other in {*hard, *soft} - PROVIDED:
        if is_aws(other):
            raise invalid(f"{other} is not served by Littoral; of AWS's public components {', '.join(PUBLIC)} are")


def _summary(call: Call, document: Document) -> dict[str, Any]:
    return {
        "arn": version_arn(call, document["name"], document["version"]),
        "componentName": document["name"],
        "componentVersion": document["version"],
        "creationTimestamp": document["created"],
    }


def _words(document: Document) -> dict[str, str]:
    recipe = document["recipe"]
    return {"publisher": recipe.get("ComponentPublisher", ""), "description": recipe.get("ComponentDescription", "")}


def _suits(version: str, candidate: Mapping[str, Any]) -> bool:
    """By what is required of it; where nothing is, by the version that the core has. Raises ValidationException."""
    wanted, requirements = candidate.get("componentVersion"), candidate.get("versionRequirements") or {}
    if not requirements:
        return wanted in (None, version)
    try:
        return suits(version, requirements)
    except BadComponent as problem:
        raise invalid(str(problem)) from problem


def _runs_on(recipe: Mapping[str, Any], platform: Mapping[str, Any] | None) -> bool:
    """A core that does not say what it is may have any."""
    attributes = (platform or {}).get("attributes") or {}
    if not attributes:
        return True
    device = {key: str(each) for key, each in attributes.items()}
    try:
        if recipe.get("ComponentType") == LAMBDA:
            manifest_of(recipe["ComponentName"], recipe["Manifests"], device)
        else:
            generic_of(recipe, device)
    except BadComponent:
        return False
    return True
