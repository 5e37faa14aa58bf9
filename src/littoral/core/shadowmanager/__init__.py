"""aws.greengrass.ShadowManager: the shadows that the core keeps, synchronised with those of the place above."""
