"""Components of a core that are programs: their recipes, their lifecycles, their processes."""
