"""Which errors each operation may answer: a client that knows the model takes another one for a broken connection.

Source: the service model in AWS's IoT device SDKs (``errorShapes`` of the operations in that for JavaScript, 1.28). All
may answer ServiceError; what the model has no error of its own for is told as that, in the same words.
"""

from __future__ import annotations

from typing import Final

from littoral.core.ipc.calls import Fault

SERVICE: Final = "ServiceError"
ARGUMENTS: Final = "InvalidArgumentsError"
MISSING: Final = "ResourceNotFoundError"
NO_COMPONENT: Final = "ComponentNotFoundError"
UNAUTHORIZED: Final = "UnauthorizedError"
CONFLICT: Final = "ConflictError"
BAD_ARTIFACTS: Final = "InvalidArtifactsDirectoryPathError"
BAD_RECIPES: Final = "InvalidRecipeDirectoryPathError"

ERRORS: Final[dict[str, frozenset[str]]] = {
    operation: frozenset({SERVICE, *others})
    for operation, others in {
        "AuthorizeClientDeviceAction": (UNAUTHORIZED, ARGUMENTS, "InvalidClientDeviceAuthTokenError"),
        "CancelLocalDeployment": (ARGUMENTS, MISSING),
        "CreateDebugPassword": (UNAUTHORIZED,),
        "CreateLocalDeployment": (ARGUMENTS, BAD_ARTIFACTS, BAD_RECIPES),
        "DeferComponentUpdate": (ARGUMENTS, MISSING),
        "DeleteThingShadow": (ARGUMENTS, MISSING, UNAUTHORIZED),
        "GetClientDeviceAuthToken": (ARGUMENTS, "InvalidCredentialError", UNAUTHORIZED),
        "GetComponentDetails": (ARGUMENTS, MISSING),
        "GetConfiguration": (MISSING,),
        "GetLocalDeploymentStatus": (MISSING,),
        "GetSecretValue": (MISSING, UNAUTHORIZED),
        "GetThingShadow": (ARGUMENTS, MISSING, UNAUTHORIZED),
        "ListComponents": (),
        "ListLocalDeployments": (),
        "ListNamedShadowsForThing": (ARGUMENTS, MISSING, UNAUTHORIZED),
        "PauseComponent": (MISSING, UNAUTHORIZED),
        "PublishToIoTCore": (UNAUTHORIZED,),
        "PublishToTopic": (UNAUTHORIZED,),
        "PutComponentMetric": (ARGUMENTS, UNAUTHORIZED),
        "RestartComponent": (NO_COMPONENT, ARGUMENTS),
        "ResumeComponent": (MISSING, UNAUTHORIZED),
        "SendConfigurationValidityReport": (ARGUMENTS,),
        "StopComponent": (NO_COMPONENT, ARGUMENTS),
        "SubscribeToCertificateUpdates": (ARGUMENTS, UNAUTHORIZED),
        "SubscribeToComponentUpdates": (MISSING,),
        "SubscribeToConfigurationUpdate": (MISSING,),
        "SubscribeToIoTCore": (UNAUTHORIZED,),
        "SubscribeToIoTCoreConnectionStatus": (),  # later than that model
        "SubscribeToTopic": (ARGUMENTS, UNAUTHORIZED),
        "SubscribeToValidateConfigurationUpdates": (),
        "UpdateConfiguration": (ARGUMENTS, CONFLICT, "FailedUpdateConditionCheckError", UNAUTHORIZED),
        "UpdateState": (MISSING,),
        "UpdateThingShadow": (ARGUMENTS, CONFLICT, UNAUTHORIZED),
        "ValidateAuthorizationToken": ("InvalidTokenError", UNAUTHORIZED),
        "VerifyClientDeviceIdentity": (ARGUMENTS, UNAUTHORIZED),
    }.items()
}
NEXT: Final = {MISSING: (NO_COMPONENT, ARGUMENTS)}  # what comes nearest where an error is not in the model


def modelled(operation: str, fault: Fault) -> Fault:
    """The fault, or the one that the operation's model has for it."""
    known = ERRORS.get(operation, frozenset({SERVICE}))
    if fault.code in known:
        return fault
    nearest = next((each for each in NEXT.get(fault.code, ()) if each in known), SERVICE)
    return Fault(nearest, str(fault))
