"""The tour: the main job from end to end, through public APIs only."""
