"""Adaptive batch sizes in the training loops of other libraries, imported where they are used."""
