"""The wire: botocore's models drive recognition, parsing, validation, dispatch and serialising. Identity."""
