"""Attacks as the Shield API tells of them: what guards of edge locations refused, and what the region keeps of it."""
