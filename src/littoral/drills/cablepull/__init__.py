"""The drill of a cable that is pulled: a transfer into a box is cut in three ways, again and again."""
