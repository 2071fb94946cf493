"""Access experiments: the same model behind an API, by request, and as open weights."""
