"""Questions asked of a model: one file per question, each returning a table."""
