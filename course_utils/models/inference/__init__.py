"""Inference: tokens are scored and chosen, texts are decoded, ranks are computed."""
