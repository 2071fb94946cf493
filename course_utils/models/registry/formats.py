"""Weight files of a checkpoint folder: one safetensors file, several shards, PyTorch's .bin, the hub's cache.

``transformers`` and the hub write weights in these ways:

* ``model.safetensors``, one file;
* ``model.safetensors.index.json`` and the shards that it names;
* ``pytorch_model.bin``, or its index and shards (older models);
* the cache of huggingface_hub: ``models--OWNER--NAME/snapshots/REVISION/`` with links to files elsewhere.

A folder with several of them is read in this order, as ``transformers`` does.
"""

import dataclasses
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from course_utils.core.json_types import JsonObject
from course_utils.errors import DamagedFile

WEIGHTS = "model.safetensors"
INDEX = ".index.json"
BIN = "pytorch_model.bin"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
# The other files that decide what a model computes. A card, a licence or a training log decides nothing.
SETTINGS_FILES = (
    CONFIG, "generation_config.json", TOKENIZER, "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model",
)  # fmt: skip
TOKENIZER_FILES = ((TOKENIZER,), ("vocab.json", "merges.txt"), ("tokenizer.model",), ("spiece.model",))
FOREIGN = (".h5", ".msgpack", ".gguf", ".onnx", ".ot", ".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".npz")
HUB_PREFIX, SNAPSHOTS = "models--", "snapshots"
ITEM_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
LARGEST_HEADER = 100_000_000  # bytes
CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx", "context_length")
DEFAULT_CONTEXT = 1024  # GPT-2's, for a network that sets no limit


@dataclasses.dataclass(frozen=True)
class TensorPlace:
    """Where a tensor lies in a safetensors file.

    Parameters
    ----------
    file : Path
    dtype : str
        As safetensors writes it, such as ``"F32"`` or ``"BF16"``.
    shape : tuple of int
    begin, n_bytes : int
        The first byte in the file, and how many there are.
    """

    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    n_bytes: int


def is_checkpoint(folder: Path) -> bool:
    """Tell whether a folder holds a config and weights in a format that can be loaded; a glance."""
    # Unlike Path.is_file, this is False for a folder that may not be looked into and for a name that is too long.
    return os.path.isfile(folder / CONFIG) and _first(folder) is not None


def weight_files(folder: Path, cure: str = "Copy the folder again.") -> list[Path]:
    """Return the files that hold the weights, sorted by name.

    Raises
    ------
    DamagedFile
        There are none, or the index names one that is missing. The message says what was found.
    """
    first = _first(folder)
    if first is None:
        raise DamagedFile(_found(folder), f"{WEIGHTS}, its shards, or {BIN}.", _conversion(folder) or cure)
    if not first.name.endswith(INDEX):
        return [first]
    names = sorted(set(_weight_map(first, cure).values()))
    for name in names:
        if not os.path.isfile(folder / name):
            raise DamagedFile(f"{folder / name} is missing.", f"All files that {first.name} names.", cure)
    return [folder / name for name in names]


def settings_files(folder: Path) -> list[Path]:
    """Return the files beside the weights that decide what the model computes."""
    index = _first(folder)
    more = [index.name] if index is not None and index.name.endswith(INDEX) else []
    return [folder / name for name in sorted((*SETTINGS_FILES, *more)) if os.path.isfile(folder / name)]


def require_tokenizer(folder: Path, cure: str = "Copy the folder again.") -> None:
    """Raise DamagedFile where a folder has no tokenizer."""
    if not any(all(os.path.isfile(folder / name) for name in names) for names in TOKENIZER_FILES):
        raise DamagedFile(
            f"{folder / TOKENIZER} is missing.",
            "The tokenizer's files beside the weights.",
            f"{cure} Or: tokenizer.save_pretrained(that folder).",
        )


def file_bytes(folder: Path) -> int:
    """Return the size of all weight files together."""
    return sum(path.stat().st_size for path in weight_files(folder))


def n_parameters(folder: Path, cure: str = "Copy the file again.") -> int:
    """Count the parameters from the headers of the weight files, which also tells whether a file is cut off.

    Raises
    ------
    DamagedFile
        A header cannot be read, or a file is shorter or longer than its header says.
    """
    files = weight_files(folder, cure)
    if files[0].suffix == ".bin":
        return sum(_count_in_bin(file, _item_bytes(folder), cure) for file in files)
    headers = {file.name: _header(file, cure) for file in files}
    first = _first(folder)
    if first is not None and first.name.endswith(INDEX):
        for tensor, name in _weight_map(first, cure).items():
            if tensor not in headers[name]:
                raise DamagedFile(f"{folder / name} has no tensor {tensor}.", f"As {first.name} says.", cure)
    return sum(_product(tensor["shape"]) for header in headers.values() for tensor in header.values())


def tensor_places(folder: Path, cure: str = "Copy the folder again.") -> dict[str, TensorPlace]:
    """Return where each tensor of a safetensors checkpoint lies; empty where the weights have another format.

    Raises
    ------
    DamagedFile
        A header cannot be read, or a file is shorter or longer than its header says.
    """
    files = weight_files(folder, cure)
    if any(file.suffix != ".safetensors" for file in files):
        return {}
    return {name: place for file in files for name, place in places_in(file, cure)[0].items()}


def places_in(file: Path, cure: str = "Copy the file again.") -> tuple[dict[str, TensorPlace], dict[str, str]]:
    """Return where each tensor of one safetensors file lies, and the file's metadata.

    Raises
    ------
    DamagedFile
        The header cannot be read, or the file is shorter or longer than its header says.
    """
    metadata: dict[str, str] = {}
    header = _header(file, cure, metadata)
    try:
        with file.open("rb") as opened:
            start = 8 + int.from_bytes(opened.read(8), "little")
        return {name: _place(file, told, start) for name, told in header.items()}, metadata
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise _no_safetensors(file, cure) from problem


def _place(file: Path, told: JsonObject, start: int) -> TensorPlace:
    begin, end = told["data_offsets"]
    if not 0 <= begin <= end:
        raise ValueError(f"A tensor from byte {begin} to {end}.")
    return TensorPlace(file, str(told["dtype"]), tuple(told["shape"]), start + begin, end - begin)


def file_with_tensor(folder: Path, endings: tuple[str, ...]) -> tuple[Path, str]:
    """Return the safetensors file that holds the first tensor whose name ends so, and its name.

    Raises
    ------
    DamagedFile
        There is none.
    """
    for file in weight_files(folder):
        if file.suffix == ".safetensors":
            for name in _header(file, "Copy the file again."):
                if name.endswith(endings):
                    return file, name
    raise DamagedFile(f"{folder} has no safetensors file with {endings[0]}.", "A model of GPT-2's kind.", "Take gpt2.")


def context_of(config: object) -> int:
    """Return how many tokens a network can see at once, from its config: an object or a dict.

    Examples
    --------
    >>> context_of({"n_positions": 512}), context_of({"max_position_embeddings": -1})
    (512, 1024)
    """
    for name in CONTEXT_NAMES:
        number = config.get(name) if isinstance(config, dict) else getattr(config, name, None)
        if isinstance(number, int) and number > 0:
            return number
    return DEFAULT_CONTEXT


# -- the hub's cache layout --------------------------------------------------------------------------------------------


def models_in(place: Path) -> dict[str, Path]:
    """Return the models in a folder by their names: plain folders, and those in the hub's cache layout.

    A model of the hub is called by the last part of its name. Where two would be called the same, by owner and name:
    ``owner--name``.
    """
    try:
        folders = sorted(path for path in place.iterdir() if os.path.isdir(path))
    except OSError:
        return {}
    found = {path.name: path for path in folders if not _is_hub(path) and is_checkpoint(path)}
    hub = {path.name.removeprefix(HUB_PREFIX): resolved(path) for path in folders if _is_hub(path)}
    short = [long.rpartition("--")[2] for long in hub]
    for long, folder in hub.items():
        name = long.rpartition("--")[2]
        if is_checkpoint(folder):
            found[long if name in found or short.count(name) > 1 else name] = folder
    return found


def folder_in(place: Path, name: str) -> Path | None:
    """Return the folder of a model of that name in a place, or None."""
    if is_checkpoint(place / name):
        return place / name
    try:
        names = [path.name for path in place.iterdir() if path.name.startswith(HUB_PREFIX)]
    except OSError:
        return None
    ends = [each for each in names if each.removeprefix(HUB_PREFIX) == name or each.endswith(f"--{name}")]
    return models_in(place).get(name) if ends else None


def resolved(folder: Path) -> Path:
    """Return the folder that holds the files: for a model in the hub's cache, the snapshot of its main revision."""
    snapshots = folder / SNAPSHOTS
    if not os.path.isdir(snapshots):
        return folder
    try:
        revision = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        revision = ""
    if revision and "/" not in revision and is_checkpoint(snapshots / revision):
        return snapshots / revision
    whole = [path for path in snapshots.iterdir() if is_checkpoint(path)]
    return max(whole, key=lambda path: (path.stat().st_mtime, path.name), default=folder)


def name_of(folder: Path) -> str:
    """Return a model's name from its folder: of a snapshot in the hub's cache, the last part of the model's name."""
    if folder.parent.name == SNAPSHOTS:
        folder = folder.parent.parent
    name = folder.name or folder.resolve().name
    return name.rpartition("--")[2] if name.startswith(HUB_PREFIX) else name


def _is_hub(folder: Path) -> bool:
    return folder.name.startswith(HUB_PREFIX) and os.path.isdir(folder / SNAPSHOTS)


# -- reading -----------------------------------------------------------------------------------------------------------


def _first(folder: Path) -> Path | None:
    """Return the file from which loading begins: the weights, or the index of the shards."""
    names = (WEIGHTS, WEIGHTS + INDEX, BIN, BIN + INDEX)
    return next((folder / name for name in names if os.path.isfile(folder / name)), None)


def _found(folder: Path) -> str:
    """Say that there are no weights, and what is there instead."""
    if not os.path.isdir(folder):
        return f"{folder} is no folder."
    broken = [path.name for path in sorted(folder.iterdir()) if path.is_symlink() and not path.exists()]
    others = [path.name for path in sorted(folder.iterdir()) if path.suffix in FOREIGN and path.name not in broken]
    words = [f"it has {', '.join(others[:3])}"] if others else []
    words += [f"{', '.join(broken[:3])} is a link to a missing file"] if broken else []
    return f"{folder / WEIGHTS} is missing{'; ' if words else ''}{' and '.join(words)}."


def _conversion(folder: Path) -> str:
    """Say how weights of another format become safetensors; empty where there are none."""
    kinds = {path.suffix for path in folder.iterdir()} if os.path.isdir(folder) else set()
    if kinds & {".h5", ".msgpack", ".gguf", ".onnx", ".ot", ".pth", ".pt", ".ckpt", ".npz"}:
        return "Load it where it was made, then: model.save_pretrained(folder, safe_serialization=True)."
    if os.path.isfile(folder / "adapter_model.safetensors"):
        return "It is an adapter: join it with its base model (merge_and_unload), then save_pretrained."
    return ""


def _weight_map(index: Path, cure: str) -> dict[str, str]:
    try:
        told: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = set(told.values())
        is_sound = bool(names) and all(isinstance(each, str) and Path(each).name == each for each in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        is_sound = False
    if not is_sound:
        raise DamagedFile(f"{index} cannot be read.", "An index: weight_map names a file for each tensor.", cure)
    return told


def _header(file: Path, cure: str, metadata: dict[str, str] | None = None) -> dict[str, JsonObject]:
    """Return a safetensors file's tensors by name, having compared the file's size with them.

    The file's own remarks, if it has some, are put into ``metadata``.
    """
    try:
        with file.open("rb") as opened:
            n_header = int.from_bytes(opened.read(8), "little")
            header: dict[str, JsonObject] = json.loads(opened.read(min(n_header, LARGEST_HEADER)))
        remarks = header.pop("__metadata__", None)
        if metadata is not None and remarks is not None:
            metadata.update(remarks)
        n_bytes = 8 + n_header + max(tensor["data_offsets"][1] for tensor in header.values())
        [_product(tensor["shape"]) for tensor in header.values()]
        size = file.stat().st_size
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _no_safetensors(file, cure) from error
    if n_bytes != size:
        raise DamagedFile(f"{file} has {size:,} bytes.", f"{n_bytes:,}, as its header says.", cure)
    return header


def _no_safetensors(file: Path, cure: str) -> DamagedFile:
    return DamagedFile(f"{file} cannot be read as safetensors.", "A file of tensors with a header.", cure)


def _count_in_bin(file: Path, item_bytes: int, cure: str) -> int:
    """Count the numbers in a file of torch.save, which is a zip archive with one member for each storage."""
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = list(_storages(archive))
    except (OSError, zipfile.BadZipFile) as error:
        raise DamagedFile(
            f"{file} cannot be read as a file of torch.save.",
            "A zip archive, as torch writes since version 1.6.",
            f"{cure} Or save it again: model.save_pretrained(folder, safe_serialization=True).",
        ) from error
    return sum(sizes) // item_bytes


def _storages(archive: zipfile.ZipFile) -> Iterator[int]:
    for member in archive.infolist():
        folder, _, number = member.filename.rpartition("/")
        if folder.endswith("data") and number.isdigit():
            yield member.file_size


def _item_bytes(folder: Path) -> int:
    """Return the bytes of one number in a .bin file, by the config; its header would need torch to be read."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return ITEM_BYTES.get(str(config.get("dtype") or config.get("torch_dtype")).removeprefix("torch."), 4)
    except (OSError, ValueError, AttributeError):
        return 4


def _product(shape: list[int]) -> int:
    product = 1
    for length in shape:
        product *= length
    return product
