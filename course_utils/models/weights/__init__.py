"""Weights: reading a checkpoint tensor by tensor, and a cache of quantized weights."""
