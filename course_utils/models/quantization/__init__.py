"""Quantization: int8 weights and the precision that a machine can use."""
