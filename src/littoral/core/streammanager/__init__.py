"""aws.greengrass.StreamManager: message streams of components, kept here and exported to the place above."""
