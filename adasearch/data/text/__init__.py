"""Text and tokens to train language models on: sources, splits, and sequences of one length."""
