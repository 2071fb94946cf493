"""Access panel: the same model behind an API, by request and as open weights."""
