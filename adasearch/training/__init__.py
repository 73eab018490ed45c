"""One training run, as a generator of interval records."""
