"""Search spaces, and trials as Optuna sees them."""
