"""Self-check panel: questions with answers that stay closed until asked for."""
