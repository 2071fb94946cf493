"""Timeline panel: the release of GPT-2 in stages."""
