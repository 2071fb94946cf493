"""Reader experiments: blind tests and preferences of people."""
