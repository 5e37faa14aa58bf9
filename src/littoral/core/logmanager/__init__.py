"""aws.greengrass.LogManager: the words of components and of the core itself, in CloudWatch Logs of the place above."""
