"""A box is taken out of its rack, and its disk is read to the last byte."""
