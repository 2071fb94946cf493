"""Language models: where they lie, how they speak, how they are trained.

Dimensions are letters everywhere below this door: B batch (samples), T tokens, V vocabulary, L layers, H heads,
D width.
"""
