"""The API of AWS Lambda (2015-03-31): a class of plain methods, one per operation, split by noun.

What AWS calls ``lambda`` is ``LambdaApi`` here. Each noun's file states what it honours in its methods' signatures.
"""

from littoral.functions.api.account import AccountOperations
from littoral.functions.api.aliases import AliasOperations
from littoral.functions.api.configuration import ConfigurationOperations
from littoral.functions.api.event_invoke import EventInvokeOperations
from littoral.functions.api.event_sources import EventSourceOperations
from littoral.functions.api.functions import FunctionOperations
from littoral.functions.api.invoking import InvokeOperations
from littoral.functions.api.layers import LayerOperations
from littoral.functions.api.permissions import PermissionOperations
from littoral.functions.api.provisioned import ProvisionedOperations
from littoral.functions.api.tagging import TagOperations
from littoral.functions.api.urls import UrlOperations
from littoral.functions.api.versions import VersionOperations


class LambdaApi(
    FunctionOperations,
    LayerOperations,
    ConfigurationOperations,
    VersionOperations,
    AliasOperations,
    InvokeOperations,
    EventInvokeOperations,
    EventSourceOperations,
    PermissionOperations,
    ProvisionedOperations,
    UrlOperations,
    AccountOperations,
    TagOperations,
):
    """All operations of botocore's service "lambda" that Littoral has."""


__all__ = ["LambdaApi"]
