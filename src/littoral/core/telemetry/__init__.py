"""The nucleus's telemetry: how the core and its components fare, told to the place above now and then."""
