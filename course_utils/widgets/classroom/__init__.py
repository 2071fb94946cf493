"""Class-results panel: a class's shared results as one picture."""
