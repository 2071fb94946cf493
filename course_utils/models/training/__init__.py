"""Training: data, recipe, checkpoints and the training loop."""
