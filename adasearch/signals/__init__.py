"""Gradients in, numbers out: the signals that schedulers ask for."""
