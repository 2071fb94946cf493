"""Training panel: a small model is trained in the notebook."""
