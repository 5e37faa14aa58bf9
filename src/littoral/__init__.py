"""Littoral: an edge cloud that its users own.

One program, four kinds of place (region, edge location, box, core). ARCHITECTURE.md draws the parts;
the layers there are checked by import-linter.
"""

__version__ = "0.1.0"
