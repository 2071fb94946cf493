"""Side-by-side panel: several models answer one prompt."""
