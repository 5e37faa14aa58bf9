"""The region's side of Greengrass V2 by noun: components, deployments, core devices, the cores' data plane."""
