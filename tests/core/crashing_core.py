"""A core without a link that runs one component, to be killed: ``python crashing_core.py FOLDER NOTEBOOK_PORT``.

Prints the port of an open listener; closes in good order when its standard input ends. Not a test; see test_kill.py.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import sys
from pathlib import Path

from littoral.core.applying import ACTIVE
from littoral.core.link import Upstream
from littoral.core.recipe import component_of, lambda_recipe
from littoral.core.runtime import Core
from littoral.core.settings import CoreSettings
from littoral.functions import Functions, FunctionSettings
from littoral.models.serving.process import Limits
from littoral.net.listen import listen_stream
from littoral.site.capabilities.core import CoreBroker, CoreFunctions
from littoral.site.coremodels import CoreModels
from littoral.site.sockets import socket_folder
from littoral.store.documents import Documents
from littoral.store.embedded import EmbeddedStore
from littoral.things.access import OpenAccess
from littoral.things.broker import Broker
from tests.core.world import Clients, local_shadows
from tests.functions.deploy import zip_of
from tests.support.notebook import NOTE

NAME = "ward.notes"
SOURCE = (
    NOTE
    + """
def handler(event, context):
    note(f"{event[0]} {event[1]}")
"""
)


async def deploy(store: EmbeddedStore, functions: Functions, out: str) -> None:
    """As a deployment leaves it."""
    archive = zip_of(app__py=SOURCE)
    digest = base64.b64encode(hashlib.sha256(archive).digest()).decode()
    function = {"Runtime": "python3.11", "Handler": "app.handler", "CodeSha256": digest, "MemorySize": 128}
    parameters = {
        "maxInstancesCount": 1,
        "maxQueueSize": 60,
        "timeoutInSeconds": 10,
        "eventSources": [{"topic": "r/#", "type": "PUB_SUB"}],
        "environmentVariables": {"OUT": out},
    }
    recipe = lambda_recipe(NAME, "1.0.0", "arn:aws:lambda:us-east-1:0:function:notes:1", function, parameters)
    component = component_of(recipe)
    await CoreFunctions(functions).install(component, archive, layers=[])
    active = {"arn": "a", "components": {NAME: {"version": "1.0.0"}}, "recipes": {NAME: recipe}}
    await Documents(store.records("core"), "deployment/").put(ACTIVE, active)


async def main(folder: Path, out: str) -> None:
    store = await EmbeddedStore.open(folder / "store")
    functions = await Functions.open(store, folder / "functions", settings=FunctionSettings())
    await functions.start()
    await deploy(store, functions, out)
    broker = Broker(access=OpenAccess(), streams=store.streams, records=store.records("broker"))
    await broker.start()
    nowhere = Upstream("127.0.0.1", 1)
    settings = CoreSettings("core", nowhere, folder / "components", socket_folder(folder, "components") / "ipc.socket")
    records, shadows = store.records("core"), local_shadows(store, broker)
    own, local = CoreFunctions(functions), CoreBroker(broker)
    core = await Core.open(
        settings, records, store.streams, own, local, shadows, Clients(folder), lambda: CoreModels(Limits(1 << 30))
    )
    await core.start()
    listener = await listen_stream(broker.protocol_factory("open", OpenAccess()), "127.0.0.1", 0)
    print(listener.port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await listener.close(0)
    await core.close()
    await broker.close()
    await functions.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
