"""Size experiments: loss and speed of models of different sizes."""
