"""What can be trained: the classification of images, and causal language modelling."""
