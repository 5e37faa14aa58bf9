"""A model made ready for a place: quantised, its shapes fixed, its graph optimised, and measured before and after."""

from littoral.models.optimising.optimising import BEST, optimise
from littoral.models.optimising.quantising import METHODS
from littoral.models.optimising.refusal import CannotOptimise

__all__ = ["BEST", "METHODS", "CannotOptimise", "optimise"]
