"""littoral.ModelServer: models that a deployment carries to the core, asked over its broker."""
