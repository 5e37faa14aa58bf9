"""The API of Amazon S3 (2006-03-01): a class of plain methods, one per operation, split by noun."""

from collections.abc import Mapping
from typing import Any

from littoral.aws.bodies import Declared
from littoral.aws.service import Call
from littoral.net.message import Request
from littoral.objects.api.acls import AclOperations
from littoral.objects.api.attributes import AttributeOperations
from littoral.objects.api.buckets import BucketOperations
from littoral.objects.api.copying import CopyOperations
from littoral.objects.api.deleting import DeleteOperations
from littoral.objects.api.encrypting import EncryptionOperations
from littoral.objects.api.gathering import GatherOperations
from littoral.objects.api.lifecycles import LifecycleOperations
from littoral.objects.api.listings import ListOperations
from littoral.objects.api.locking import LockOperations
from littoral.objects.api.logging import LoggingOperations
from littoral.objects.api.multipart import MultipartOperations
from littoral.objects.api.notification import NotificationOperations
from littoral.objects.api.paying import PaymentOperations
from littoral.objects.api.policies import PolicyOperations
from littoral.objects.api.posting import PostOperations
from littoral.objects.api.replicating import ReplicationOperations
from littoral.objects.api.restoring import RestoreOperations
from littoral.objects.api.sharing import SharingOperations
from littoral.objects.api.tagging import TaggingOperations
from littoral.objects.api.uploads import UploadOperations
from littoral.objects.api.versioning import VersioningOperations
from littoral.objects.api.websites import WebsiteOperations
from littoral.objects.checksums import of_document
from littoral.objects.names import check_key


class S3Api(
    BucketOperations,
    PostOperations,
    WebsiteOperations,
    GatherOperations,
    CopyOperations,
    DeleteOperations,
    ListOperations,
    UploadOperations,
    MultipartOperations,
    AttributeOperations,
    TaggingOperations,
    NotificationOperations,
    VersioningOperations,
    LockOperations,
    EncryptionOperations,
    LifecycleOperations,
    RestoreOperations,
    ReplicationOperations,
    LoggingOperations,
    AclOperations,
    PolicyOperations,
    PaymentOperations,
    SharingOperations,
):
    """All operations of botocore's service "s3" that Littoral has, and its own."""

    retired = {  # noqa: RUF012 - what is told of operations that AWS, too, gives to no new customer
        "SelectObjectContent": "S3 Select is retired: AWS has closed it to new customers.",
        "GetObjectTorrent": "Torrents are retired: AWS does not make them any more.",
    }

    def document_checksums(self, request: Request) -> list[Declared]:
        """Raises InvalidRequest."""
        return [Declared(*each) for each in of_document(request.headers)]

    def admit(self, call: Call, given: Mapping[str, Any]) -> None:
        """Raises AccessDenied, NoSuchBucket; KeyTooLongError, InvalidArgument for a key that none can be."""
        if "Key" in given:
            check_key(given["Key"])
        self._gate.admit(call, given)


__all__ = ["S3Api"]
