"""What is known of a network before any search: how steady its training is, and how fast."""
