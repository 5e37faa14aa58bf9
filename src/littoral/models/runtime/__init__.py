"""Models at work: ONNX Runtime with everything checked that goes in. Needs ``littoral[models]``."""
