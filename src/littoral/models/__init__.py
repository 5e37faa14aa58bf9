"""Models: kept, imported, made ready for a place, and served there."""
