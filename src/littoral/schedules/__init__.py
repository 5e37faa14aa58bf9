"""Schedules: rules and schedules that invoke functions at a time."""
