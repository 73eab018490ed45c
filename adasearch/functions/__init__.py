"""Training functions of the user's own, as trials of a search: what they are handed, and who runs them."""
