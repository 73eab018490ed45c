"""What is trained on: sources of images, splits, batches, and the stream of permutations."""
