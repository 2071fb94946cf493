"""Cache of quantized weights: the second start reads 8-bit weights and need not read and round the fp32 ones.

One safetensors file for each model and version of the method (`SCHEME`). Its name is a hash of the source's sha256, of
its config's and of `SCHEME`. Its metadata name all of them, and the sha256 of its own content. A file that is damaged,
cut off, of another version or changing is made again from the source. A process that cannot write goes on without.

Hashing two gigabytes takes seconds. So, as for checkpoints, a note beside the file says in which state (size, times,
inode) its hash was found right; while that state lasts, the file is not hashed again.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import torch

from course_utils.core.files import staged_file, try_replace_file
from course_utils.errors import CourseError, DamagedFile
from course_utils.models.networks.weights import Linear
from course_utils.models.quantization.packed_linear import PackedLinear
from course_utils.models.registry import checksums, formats
from course_utils.models.registry.checksums import Seen
from course_utils.models.weights import cached_files
from course_utils.models.weights.file_weights import FileWeights, TensorFiles

SCHEME = "int8 rows, fp16 embedding, 1"  # change it with anything that changes a number or a name in the file
LEAST_BYTES = 50_000_000  # smaller checkpoints are quantized in less time than a file is worth
HEADER_BYTES = 300  # room in the header for each tensor of the source
NO_HASH = "0" * 64
DTYPE_NAMES = {torch.int8: "I8", torch.float32: "F32", torch.float16: "F16"}
_BLOCK = 1 << 20

logger = logging.getLogger(__name__)


def path_of(seen: Seen) -> Path:
    """Return where the quantized weights of a checkpoint are kept."""
    key = hashlib.sha256(json.dumps(_origin(seen), sort_keys=True).encode()).hexdigest()[:40]
    return cached_files.folder() / f"{key}{cached_files.SUFFIX}"


def _origin(seen: Seen) -> dict[str, str]:
    """Return what the cached numbers depend on."""
    config = seen.sha256.get(formats.CONFIG, "")
    return {"source_sha256": seen.weights_sha256, "config_sha256": config, "scheme": SCHEME}


class CachedWeights:
    """Weights from a file of the cache; see `course_utils.models.networks.weights.Weights`.

    Parameters
    ----------
    files : TensorFiles
    n_parameters : int
    """

    def __init__(self, files: TensorFiles, n_parameters: int) -> None:
        self._files, self.n_parameters = files, n_parameters

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor in fp32, in memory of its own."""
        return self._read(name)

    def embedding(self, name: str) -> torch.Tensor:
        """Return an embedding of shape (tokens, width), in fp16, or in fp32 where its numbers are too large."""
        return self._read(name)

    def linear(self, names: Sequence[str], is_transposed: bool = False) -> Linear:
        """Return one layer with the outputs of several."""
        name = _layer_name(names)
        bias = self._read(f"{name}.bias") if f"{name}.bias" in self._files.places else None
        return PackedLinear.from_whole(self._read(f"{name}.whole"), self._read(f"{name}.scale"), bias)

    def _read(self, name: str) -> torch.Tensor:
        if name not in self._files.places:
            raise DamagedFile(f"The cached weights lack {name}.", "All tensors.", "They are made again.")
        return self._files.read(name)


def _layer_name(names: Sequence[str]) -> str:
    return "+".join(names)


class Cached:
    """An open file of the cache, whose content was found right.

    Parameters
    ----------
    path : Path
    origin : dict of str to str
        What its metadata must say.

    Raises
    ------
    DamagedFile, OSError
        It is missing, damaged, or of something else.
    """

    def __init__(self, path: Path, origin: dict[str, str]) -> None:
        self._path, self._state = path, checksums.settled_state_of(path)
        places, metadata = formats.places_in(path)
        if any(metadata.get(key) != value for key, value in origin.items()):
            raise DamagedFile(f"{path} is of another checkpoint or version.", str(origin), "It is made again.")
        self._require_hash(metadata.get("sha256", ""))
        self._files = TensorFiles(places)
        self.weights = CachedWeights(self._files, int(metadata["n_parameters"]))

    def _require_hash(self, sha256: str) -> None:
        note = cached_files.note_of(self._path)
        expected = json.dumps({"state": self._state, "sha256": sha256})
        try:
            if note.read_text(encoding="utf-8") == expected:
                with contextlib.suppress(OSError):
                    os.utime(note)  # the time of the last use, by which the oldest is chosen
                return
        except (OSError, ValueError):
            pass
        if _sha256(self._path, sha256) != sha256:
            raise DamagedFile(f"{self._path} has another sha256 than its header says.", sha256, "It is made again.")
        try_replace_file(note, expected)

    def is_current(self) -> bool:
        """Tell whether the file is still as it was when its hash was compared."""
        try:
            return checksums.state_of(self._path) == self._state
        except OSError:
            return False

    def close(self) -> None:
        """Close the file."""
        self._files.__exit__()


def open_cached(seen: Seen) -> Cached | None:
    """Return the cached weights of a checkpoint, or None where there are none that can be used."""
    path = path_of(seen)
    if not os.path.isfile(path):
        return None
    try:
        return Cached(path, _origin(seen))
    except (CourseError, OSError, ValueError, KeyError) as problem:
        logger.info("cached weights are not used: %s", problem)
        return None


class CachingWeights(FileWeights):
    """Weights of a checkpoint, in int8, which are written into the cache as they are read.

    Parameters
    ----------
    seen : Seen
    files : TensorFiles
        Of the checkpoint.
    device : torch.device

    Notes
    -----
    The file takes its name in `keep`, which the caller calls once it knows that the checkpoint did not change.
    """

    def __init__(self, seen: Seen, files: TensorFiles, device: torch.device) -> None:
        super().__init__(seen.folder, files, "int8", device)
        self._seen, self._path = seen, path_of(seen)
        self._header: dict[str, object] = {}
        self._n_written, self._n_header = 0, 8 + 1000 + HEADER_BYTES * len(files.places)
        self._digest = hashlib.sha256()
        self._staged = contextlib.ExitStack()
        self._file: BinaryIO | None = None
        n_bytes = sum(place.n_bytes for place in files.places.values())
        if n_bytes >= LEAST_BYTES:
            with self._going_on():
                if cached_files.make_room(_estimated_bytes(files), self._path):
                    self._file = self._staged.enter_context(staged_file(self._path))
                    self._file.seek(self._n_header)

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor in fp32, in memory of its own."""
        found = super().tensor(name)
        self._put(name, found)
        return found

    def embedding(self, name: str) -> torch.Tensor:
        """Return an embedding of shape (tokens, width), in fp16, or in fp32 where its numbers are too large."""
        found = super().embedding(name)
        self._put(name, found)
        return found

    def whole(
        self, names: Sequence[str], is_transposed: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Return weights of shape (outputs, inputs), int8, the scale of each output, and the bias."""
        whole, scale, bias = super().whole(names, is_transposed)
        for kind, tensor in (("whole", whole), ("scale", scale), ("bias", bias)):
            if tensor is not None:
                self._put(f"{_layer_name(names)}.{kind}", tensor)
        return whole, scale, bias

    def keep(self) -> bool:
        """Give the file its name; False where nothing could be written."""
        with self._going_on():
            if self._file is not None:
                self._write_header(self._file)
                self._staged.close()
                self._file = None
                return True
        return False

    def drop(self) -> None:
        """Remove what was written; nothing happens after `keep`."""
        if self._file is not None:
            self._fail(DamagedFile("The checkpoint changed.", "", ""))

    def _put(self, name: str, tensor: torch.Tensor) -> None:
        if self._file is None:
            return
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
        end = self._n_written + len(content)
        self._header[name] = {
            "dtype": DTYPE_NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [self._n_written, end],
        }  # fmt: skip
        self._n_written = end
        with self._going_on():
            self._file.write(content)
            self._digest.update(content)

    def _write_header(self, file: BinaryIO) -> None:
        """Write the header into the room before the data, with the hash of both."""
        metadata = {**_origin(self._seen), "n_parameters": str(self.n_parameters), "sha256": NO_HASH}
        content = json.dumps({"__metadata__": metadata, **self._header}).encode()
        content = content.ljust(self._n_header - 8)
        if len(content) > self._n_header - 8:
            raise OSError("The header has no room.")
        self._digest.update(content)
        file.seek(0)
        file.write(len(content).to_bytes(8, "little"))
        file.write(content.replace(NO_HASH.encode(), self._digest.hexdigest().encode(), 1))

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        """Load without the cache from here on, where it cannot be written."""
        try:
            yield
        except (CourseError, OSError) as problem:
            self._fail(problem)

    def _fail(self, problem: BaseException) -> None:
        """Close and remove the unfinished file."""
        logger.info("not cached: %s", problem)
        self._file = None
        with contextlib.suppress(CourseError, OSError):
            self._staged.__exit__(type(problem), problem, None)


def _estimated_bytes(files: TensorFiles) -> int:
    """Return about how large the file of the cache will be: a byte for each weight, and two more in the embedding."""
    sizes = [place.n_bytes // max(1, _item_bytes(place.dtype)) for place in files.places.values()]
    return int(1.02 * sum(sizes)) + 2 * max(sizes)


def _item_bytes(dtype: str) -> int:
    return int(re.sub(r"\D", "", dtype) or 8) // 8


def _sha256(path: Path, sha256: str) -> str:
    """Return the hash of data and header, the place of the hash in the header filled with zeros."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        n_header = int.from_bytes(file.read(8), "little")
        header = file.read(n_header)
        while block := file.read(_BLOCK):
            digest.update(block)
    digest.update(header.replace(sha256.encode(), NO_HASH.encode(), 1) if sha256 else header)
    return digest.hexdigest()
