"""The class for botocore's service "sagemaker", as far as models go."""

from __future__ import annotations

from littoral.models.api.endpoints import Endpoints


class ModelsApi(Endpoints):
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/"""
