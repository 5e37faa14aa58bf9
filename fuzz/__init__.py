"""What is fed with arbitrary bytes; see ``targets``."""
