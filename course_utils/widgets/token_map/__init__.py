"""Token-map panel: each token of a text with its rank and probability."""
