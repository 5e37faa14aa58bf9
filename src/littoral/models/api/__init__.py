"""The SageMaker API, as far as models need it: the registry (model packages), models, endpoints."""
