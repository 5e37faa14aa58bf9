"""What holds for every test: none of hypothesis fails because the machine is busy, and gRPC keeps out of forks."""

import os

from hypothesis import settings

settings.register_profile("littoral", deadline=None)
settings.load_profile("littoral")

# grpcio's fork handlers abort one child in a hundred where another thread of it works (measured: 8 of 800, without
# them 0). The tests start programs by fork, and none of those children uses gRPC.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
