"""Greengrass V2 and the link: the region's side of a core, and the core's own.

==================  ====================================================================================
``greengrass``      the API of botocore's service ``greengrassv2``; ``region/`` its parts by noun
``recipe``          a Lambda function as a component: recipe, configuration, what the core runs
``bridge``          the topic mappings of ``aws.greengrass.clientdevices.mqtt.Bridge``; ``bridging``: they at work
``public``          AWS's public components that a core plays by itself
``document``        a deployment as it travels in the shadow ``AWSManagedGreengrassV2Deployment``
``spool``           what is on its way up, durable
``modelserver``     models that a deployment carries, asked over the local broker
``link``            one MQTT 5 connection upward; ``session`` one life of it
``deployments``     the core follows its desired state; ``source`` fetches what it needs
``events``          messages to functions, in order
``ports``           what the site hands in
==================  ====================================================================================

Refuses to know: the broker, functions, shadows and objects; they come in as Protocols.
"""
