"""Model registry: which models exist, where their files are, and whether these are intact."""
