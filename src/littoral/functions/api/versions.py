"""PublishVersion and ListVersionsByFunction. A numbered version never changes."""

from __future__ import annotations

from littoral.aws.service import Call, Output, operation
from littoral.functions import validation
from littoral.functions.api.parts import PAGE, Operations, check_revision, page, with_marker
from littoral.functions.names import LATEST, invalid
from littoral.functions.version import FunctionVersion


class VersionOperations(Operations):
    @operation()
    async def publish_version(
        self,
        call: Call,
        *,
        function_name: str,
        code_sha256: str | None = None,
        description: str | None = None,
        revision_id: str | None = None,
    ) -> Output:
        reference = self._unqualified(function_name)
        validation.check_description(description)
        async with self._catalog.lock(reference.name):
            function = self._catalog.get(reference.name)
            self._parts.readiness.check_changeable(function.name)
            check_revision(revision_id, function.revision())
            current = function.latest.code_sha256
            if code_sha256 and code_sha256 != current:
                raise invalid(
                    f"CodeSHA256 ({code_sha256}) is different from current CodeSHA256 in $LATEST ({current}). "
                    "Please try again with the CodeSHA256 in $LATEST."
                )
            return self._shown(await self._publish(function, call.now, description), qualified=True)

    @operation()
    async def list_versions_by_function(
        self, call: Call, *, function_name: str, marker: str | None = None, max_items: int = PAGE
    ) -> Output:
        function = self._catalog.get(self._unqualified(function_name).name)
        versions = [function.latest, *(function.versions[number] for number in sorted(function.versions))]
        shown, following = page(versions, _sort_key, marker, min(max_items, PAGE))
        return with_marker({"Versions": [self._shown(v, qualified=True) for v in shown]}, following)


def _sort_key(version: FunctionVersion) -> str:
    return f"{0 if version.version == LATEST else int(version.version):09d}"
