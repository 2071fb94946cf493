"""Generated texts for experiments: texts of models, pairs with human texts, repetition."""
