"""The composition root: builds a place out of capabilities and holds its one lifecycle."""
