"""Serving: models in processes of their own, several in bounded memory, requests gathered into batches."""
