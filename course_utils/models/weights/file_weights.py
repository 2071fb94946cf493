"""Checkpoint reader: takes tensors from safetensors files one at a time, and rounds them to 8 bits on the way.

Tensors are read with ordinary reads into memory of this process and not mapped. A file that is overwritten in its place
changes no network, one that is cut off raises an error and does not end the process, and pages of the file do not count
as memory of the process.
"""

import contextlib
import io
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from course_utils.errors import DamagedFile
from course_utils.models.networks.weights import DenseLinear, Linear
from course_utils.models.quantization.packed_linear import PackedLinear, to_whole_numbers
from course_utils.models.registry.formats import TensorPlace

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I8": torch.int8,
}  # fmt: skip
FLOATS = ("F64", "F32", "F16", "BF16")
BLOCK_BYTES = 16_000_000  # of a large weight that are read at once
M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
LARGEST_HALF = 60_000.0  # an embedding with larger numbers is kept in fp32; fp16 ends at 65,504


class TensorFiles:
    """Tensors of some safetensors files; a context manager, which closes the files at its end.

    Parameters
    ----------
    places : mapping of str to TensorPlace
    """

    def __init__(self, places: Mapping[str, TensorPlace]) -> None:
        self.places = places
        self._open: dict[Path, io.FileIO] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "TensorFiles":
        """Return itself."""
        return self

    def __exit__(self, *problem: object) -> None:
        """Close the files."""
        self._stack.close()

    def read(self, name: str, begin: int = 0, end: int | None = None) -> torch.Tensor:
        """Return a tensor, or its rows from ``begin`` to before ``end``, in the dtype of the file.

        Raises
        ------
        DamagedFile
            The file ends before the tensor does, or its dtype is not one of `DTYPES`.
        """
        place = self.places[name]
        dtype, shape = DTYPES.get(place.dtype), place.shape
        if dtype is None or math.prod(shape) * dtype.itemsize != place.n_bytes:
            raise _damaged(place, f"{name} is of dtype {place.dtype} and has {place.n_bytes:,} bytes")
        begin, end = (begin, shape[0] if end is None else min(end, shape[0])) if shape else (0, 1)
        row = math.prod(shape[1:]) * dtype.itemsize
        tensor = torch.empty((end - begin, *shape[1:]) if shape else (), dtype=dtype)
        if not tensor.numel():
            return tensor
        file = self._file(place.file)
        file.seek(place.begin + begin * row)
        # numpy has no bfloat16, so the bytes are filled in as such.
        left = tensor.reshape(-1).view(torch.uint8).numpy().data
        while left:
            n_read = file.readinto(left)
            if not n_read:
                raise _damaged(place, f"{name} ends too early")
            left = left[n_read:]
        return tensor

    def blocks(self, name: str) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield a tensor in groups of rows, in fp32, each with the number of its first row."""
        shape = self.places[name].shape
        n_rows = max(1, BLOCK_BYTES // (4 * max(1, math.prod(shape[1:]))))
        for begin in range(0, shape[0], n_rows):
            yield begin, self.read(name, begin, begin + n_rows).float()

    def _file(self, path: Path) -> io.FileIO:
        if path not in self._open:
            self._open[path] = self._stack.enter_context(path.open("rb", buffering=0))
        return self._open[path]


def _damaged(place: TensorPlace, what: str) -> DamagedFile:
    return DamagedFile(
        f"{place.file} cannot be read: {what}.",
        f"Tensors of dtype {', '.join(FLOATS)}, as long as the header says.",
        "Copy the file again.",
    )


class FileWeights:
    """Weights of a safetensors checkpoint; see `course_utils.models.networks.weights.Weights`.

    Parameters
    ----------
    folder : Path
        Of the checkpoint, for messages.
    files : TensorFiles
    precision : {"fp32", "int8"}
    device : torch.device

    Attributes
    ----------
    n_parameters : int
        Numbers in the tensors that were asked for, each tensor counted once.

    Raises
    ------
    DamagedFile
        A tensor is missing, or its dtype or length is wrong.
    """

    def __init__(self, folder: Path, files: TensorFiles, precision: str, device: torch.device) -> None:
        self._folder, self._files, self._precision, self._device = folder, files, precision, device
        self._used: dict[str, int] = {}

    @property
    def n_parameters(self) -> int:
        """Numbers in the tensors that were asked for, each tensor counted once."""
        return sum(self._used.values())

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor in fp32, in memory of its own."""
        return self._read(name).to(self._device)

    def embedding(self, name: str) -> torch.Tensor:
        """Return an embedding of shape (tokens, width), in fp32, or in fp16 beside 8-bit weights.

        fp16 keeps 11 bits of each number, so it costs no measurable quality and half of the memory.
        """
        if self._precision == "fp32":
            return self.tensor(name)
        found = self._named(name)
        half = torch.empty(self._files.places[found].shape, dtype=torch.float16)
        for begin, rows in self._files.blocks(found):
            if not bool((rows.abs() <= LARGEST_HALF).all()):
                return self.tensor(name)
            half[begin : begin + len(rows)] = rows
        return half

    def linear(self, names: Sequence[str], is_transposed: bool = False) -> Linear:
        """Return one layer with the outputs of several, which have the same input."""
        if self._precision == "fp32":
            parts = [self._read(f"{name}.weight") for name in names]
            parts = [part.t() for part in parts] if is_transposed else parts
            weight = parts[0] if len(parts) == 1 else torch.cat(parts)
            del parts  # before the layer makes its copy
            bias = self.bias(names)
            return DenseLinear(weight.to(self._device), None if bias is None else bias.to(self._device))
        return PackedLinear.from_whole(*self.whole(names, is_transposed))

    def whole(
        self, names: Sequence[str], is_transposed: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return weights of shape (outputs, inputs), int8, the scale of each output, and the bias."""
        parts = [self._whole(f"{name}.weight", is_transposed) for name in names]
        whole, scale = parts[0] if len(parts) == 1 else map(torch.cat, zip(*parts, strict=True))
        return whole, scale, self.bias(names)

    def bias(self, names: Sequence[str]) -> torch.Tensor | None:
        """Return the biases of some layers, one after the other; None where they have none."""
        found = [self._read(f"{name}.bias") for name in names if self._find(f"{name}.bias")]
        if not found:
            return None
        return found[0] if len(found) == 1 else torch.cat(found)

    def _whole(self, name: str, is_transposed: bool) -> tuple[torch.Tensor, torch.Tensor]:
        if is_transposed:  # the scale of an output needs its whole column
            return to_whole_numbers(self._read(name).t())
        found = self._named(name)
        shape = self._files.places[found].shape
        whole, scale = torch.empty(shape, dtype=torch.int8), torch.empty(shape[0])
        for begin, rows in self._files.blocks(found):
            whole[begin : begin + len(rows)], scale[begin : begin + len(rows)] = to_whole_numbers(rows)
        return whole, scale

    def _read(self, name: str) -> torch.Tensor:
        return self._files.read(self._named(name)).float()

    def _find(self, name: str) -> str:
        """Return a tensor's name in the files, which may lack the first part of transformers' name; empty if none."""
        short = name.partition(".")[2]
        return next((each for each in (name, short) if each in self._files.places), "")

    def _named(self, name: str) -> str:
        found = self._find(name)
        if not found:
            raise DamagedFile(
                f"The weights in {self._folder} lack tensors, among them {name}.",
                "All tensors of the network that config.json describes.",
                "Copy config.json and the weights again, both from the same model.",
            )
        self._used[found] = math.prod(self._files.places[found].shape)
        return found


@contextlib.contextmanager
def separate_allocations() -> Iterator[None]:
    """Let every tensor of a megabyte or more have pages of its own inside the block, which go back when it is freed.

    Reading needs a buffer for each layer. glibc keeps freed memory below 32 MB in its heaps, and the layers that were
    made meanwhile lie between the holes: GPT-2 XL took 0.25 GB more after loading and 0.4 GB more at the peak. Other
    systems give memory back by themselves.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        yield
        return
    mallopt(M_MMAP_THRESHOLD, 1 << 20)
    try:
        yield
    finally:
        mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the largest that glibc chooses by itself: quick for activations
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
            trim(0)
