"""What tests of the model server share: a tiny Llama beside the tiny GPT-2, and readers of a job."""

import threading
from pathlib import Path

import torch
from conftest import N_SMALL, gpt2_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from course_utils.models.server.engine import Engine, Job
from course_utils.models.server.model_pool import ids_of
from course_utils.models.server.request import CompletionRequest
from course_utils.models.server.scheduler import Limits


def save_random_llama(folder: Path) -> Path:
    """Write a random-weight Llama whose heads share keys, with a small vocabulary and a context of 2048."""
    torch.manual_seed(1)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    shape |= {"num_key_value_heads": 2, "vocab_size": N_SMALL, "max_position_embeddings": 2048}
    config = LlamaConfig(**shape, tie_word_embeddings=True, bos_token_id=N_SMALL - 1, eos_token_id=N_SMALL - 1)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(8)
    model.save_pretrained(folder)
    gpt2_tokenizer(N_SMALL).save_pretrained(folder)
    return folder


class Reader:
    """One request to an engine, and what came of it."""

    def __init__(self, engine: Engine, model, request: CompletionRequest, viewer: str = "v") -> None:
        self.bell = threading.Event()
        self.engine = engine
        self.job = Job(model, request, ids_of(model, request)[0], viewer, self.bell.set)
        self.steps, self.ended = [[] for _ in range(request.n)], [""] * request.n
        engine.submit(self.job)

    def read(self, enough=lambda reader: False, timeout: float = 30) -> "Reader":
        """Take news until all has ended, an error came, or it is enough."""
        while not all(self.ended) and not self.job.error and not enough(self):
            assert self.bell.wait(timeout), "no news"
            self.bell.clear()
            for sample, steps, ended in self.job.take():
                self.steps[sample] += steps
                self.ended[sample] = ended or self.ended[sample]
        return self

    @property
    def texts(self) -> list[str]:
        return ["".join(step.text for step in steps) for steps in self.steps]

    @property
    def n_tokens(self) -> int:
        return sum(map(len, self.steps))


class running:  # noqa: N801
    """An engine that computes as long as the block lasts."""

    def __init__(self, **limits: int) -> None:
        self.engine = Engine(Limits(**limits))

    def __enter__(self) -> Engine:
        self.engine.start()
        return self.engine

    def __exit__(self, *error: object) -> None:
        assert self.engine.close(10)
