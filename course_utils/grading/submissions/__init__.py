"""Submissions: found, collected, read, repaired and imported from learning platforms."""
