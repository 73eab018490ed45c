"""Where images come from: each kind of source in a file of its own."""
