"""The core: a place near the ground that works with the link down (AWS IoT Greengrass)."""
