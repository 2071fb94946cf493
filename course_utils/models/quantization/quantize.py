"""Quantization of a network of transformers: every linear layer gets 8-bit weights."""

import torch
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from course_utils.models.quantization.packed_linear import PackedLinear


@torch.no_grad()
def quantize(model: PreTrainedModel) -> PreTrainedModel:
    """Replace every linear layer, one at a time, in place; embeddings and norms stay fp32.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        GPT-2's layers are ``Conv1D``, which keep the weight the other way round; Llama's are ``Linear``.

    Returns
    -------
    transformers.PreTrainedModel
        The same object.
    """
    for layer in list(model.base_model.modules()):
        for name, child in list(layer.named_children()):
            if isinstance(child, Conv1D):
                setattr(layer, name, PackedLinear.from_weight(child.weight.t(), child.bias))
            elif isinstance(child, torch.nn.Linear):
                setattr(layer, name, PackedLinear.from_weight(child.weight, child.bias))
    output = model.get_output_embeddings()
    model.set_output_embeddings(PackedLinear.from_weight(output.weight, output.bias))
    return model
