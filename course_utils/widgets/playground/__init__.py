"""Playground panel: a prompt, settings and the model's text."""
