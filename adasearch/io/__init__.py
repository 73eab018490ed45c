"""Files, YAML, names and what a terminal shows."""
