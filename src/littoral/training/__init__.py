"""Training jobs: a user's own script, in a sandbox, with data from buckets and results in buckets, as on SageMaker.

Pure: ``wanted`` (what can be asked for), ``job`` (what becomes of it), ``turns`` (whose turn it is), ``metrics``.
``run`` is the way of one run; ``toolkit`` is what runs within. The site hands in buckets, log and sandbox (``ports``).
"""

from littoral.training.facade import Training
from littoral.training.run import Outside

__all__ = ["Outside", "Training"]
