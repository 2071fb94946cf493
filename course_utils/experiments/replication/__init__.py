"""Replication experiments: distillation, training of small models, and costs."""
