"""Essay panels: an essay shown and its claims checked."""
