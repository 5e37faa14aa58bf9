"""Drills: what a place promises for a bad day, tried on places of one's own. Above the tour, whose parts they use."""
