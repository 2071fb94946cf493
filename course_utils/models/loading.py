"""Model loading: from the server that is named, else on this machine; torch is imported only for local weights."""

import os
import time
from pathlib import Path
from typing import TypedDict

from course_utils.core.json_types import JsonObject
from course_utils.core.limits import memory_available_mb
from course_utils.errors import ModelNotHere, SettingsError
from course_utils.models.client.connection import ServerConnection
from course_utils.models.client.remote_model import RemoteModel, models_of
from course_utils.models.inference.base import BaseLanguageModel
from course_utils.models.registry import registry, release_stage
from course_utils.models.registry.catalogue import POCKET

SERVER = "COURSE_MODEL_SERVER"
FRESH_S = 2.0  # a server's list of models is not asked for again within this time

_lists: dict[str, tuple[float, list[JsonObject]]] = {}


class ServedModel(TypedDict):
    """A server's model as a panel shows it; ``n_parameters`` is 0 where the server does not tell it."""

    name: str
    about: str
    n_parameters: int


def server_of(name: str | Path | None = None) -> str:
    """Return the address of the server that has the model: the one given as its name, or COURSE_MODEL_SERVER's.

    Empty where the weights are taken from this machine, as those in a folder always are.
    """
    if isinstance(name, Path):
        return ""
    return str(name) if is_address(name) else os.environ.get(SERVER, "")


def is_address(name: object) -> bool:
    """Tell whether a model's name is a server's address."""
    return isinstance(name, str) and name.startswith(("http://", "https://"))


def is_bare_hall() -> bool:
    """Tell whether this is a page of a hall without a model: thirty pages with one each would fill the machine."""
    return bool(os.environ.get("COURSE_HALL")) and not os.environ.get(SERVER)


def require_room() -> None:
    """Require that weights of the shelf may be read in this process.

    Raises
    ------
    ModelNotHere
        This is a page of a hall without a model.
    """
    if is_bare_hall():
        raise ModelNotHere(
            "No model is at work in this hall.", "A hall that was opened with one.", "Play the recording."
        )


def load(name: str | Path | None = None, precision: str = "auto", server: str = "") -> BaseLanguageModel:
    """Return a model that speaks: from the server that COURSE_MODEL_SERVER names, else from the shelf.

    Parameters
    ----------
    name : str or Path, optional
        A name, a checkpoint's folder, or a model server's address, such as ``"http://127.0.0.1:8799"``. Left out: the
        server's first model, or the best one on this machine.
    precision : {"auto", "fp32", "int8"}
        As for `course_utils.models.inference.language_model.load`. A server has its own: another one is refused.
    server : str, optional
        The address of the server to ask, where it is not COURSE_MODEL_SERVER's.

    Returns
    -------
    BaseLanguageModel
        A LanguageModel, or a RemoteModel.

    Raises
    ------
    UnknownModel, ModelNotHere, DamagedFile, NotEnoughMemory, SettingsError
    AccessRefused
        The release stage of this kernel keeps it closed.
    NoServer, NotServed
        The server does not answer, or refuses.
    """
    url = server_of(name) if isinstance(name, Path) else server or server_of(name)
    if not url:
        if not isinstance(name, Path):
            require_room()
        from course_utils.models.inference import language_model  # torch and transformers: seconds, and 400 MB

        return language_model.load(name, precision)
    name = best_of(url) if name is None or is_address(name) else str(name)
    release_stage.require_open(name)
    model = RemoteModel(url, name)
    if precision != "auto" and model.is_ours and precision != model.precision:
        raise SettingsError(
            f"{name} speaks in {model.precision} behind this server, and {precision} is asked for.",
            f'precision="{model.precision}".',
            "Start the server with that precision, or load the model on this machine.",
        )
    return model


def offered(url: str) -> list[ServedModel]:
    """Return the models of a server that the release stage leaves open: name, about, n_parameters.

    Raises
    ------
    NoServer, NotServed
    """
    asked_at, found = _lists.get(url, (-FRESH_S, []))
    if time.monotonic() - asked_at > FRESH_S:
        found = models_of(ServerConnection(url))
        _lists[url] = time.monotonic(), found
    return [_told(each) for each in found if release_stage.is_open(each["id"])]


def best_of(url: str) -> str:
    """Return the name of a server's first model that the release stage leaves open.

    Raises
    ------
    ModelNotHere
        It has none.
    NoServer, NotServed
    """
    names = [each["name"] for each in offered(url)]
    if not names:
        raise ModelNotHere(f"The model server at {url} has no model that is open.", "A model.", "Open the next stage.")
    return names[0]


def family(most: int) -> list[str]:
    """Return the names of the models to compare, smallest first: the pocket family, else what there is.

    Raises
    ------
    ModelNotHere, AccessRefused, NoServer
    """
    url = server_of()
    if url:
        known = sorted(offered(url), key=lambda each: each["n_parameters"])
        names = [each["name"] for each in known]
        pocket = [name for name in names if name in POCKET]
        return (pocket if len(pocket) > 1 else names or [best_of(url)])[:most]
    require_room()
    here = [each for each in registry.entries() if each.n_parameters and registry.is_here(each.name)]
    here = [each for each in here if release_stage.is_open(each.name)]
    here.sort(key=lambda each: each.n_parameters)
    pocket = [each.name for each in here if each.name in POCKET]
    if len(pocket) > 1:
        return pocket[:most]
    room_mb, names = memory_available_mb() - registry.OVERHEAD_MB, []
    for each in here[:most]:
        room_mb -= registry.memory_needed_mb(each) - registry.OVERHEAD_MB
        names += [each.name] if room_mb >= 0 else []
    return names or [registry.best_here()]


def sizes(server: str = "") -> dict[str, int]:
    """Return how many parameters each model has, on this machine's shelf or behind a server; what is known of them."""
    if not server:
        return {entry.name: entry.n_parameters for entry in registry.entries()}
    _, found = _lists.get(server, (0.0, []))
    return {each["name"]: each["n_parameters"] for each in map(_told, found)}


def _told(entry: JsonObject) -> ServedModel:
    """Return what a panel tells of a server's model."""
    ours = entry.get("course")
    told: JsonObject = ours if isinstance(ours, dict) else {}
    size = int(told.get("n_parameters") or 0)
    words = [str(told.get("about") or "")] if told.get("about") else []
    words += [f"{size / 1e6:,.1f} M parameters"] if size else []
    words += [str(told["precision"])] if told.get("precision") else []
    return {"name": entry["id"], "about": " · ".join([*words, "shared server"]), "n_parameters": size}
