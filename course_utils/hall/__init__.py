"""Demo server (the hall): one page for a lecturer and a whole class, each viewer with a small process of their own."""
