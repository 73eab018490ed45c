"""The networks that are trained, by name."""
