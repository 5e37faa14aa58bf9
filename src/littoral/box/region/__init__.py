"""A box's jobs at its region: what boxes are made for, where each of them is, and the secrets that open them."""

from littoral.box.region.facade import BoxJobs

__all__ = ["BoxJobs"]
