"""Model picker: the models that a panel can offer, here or on the server, and the one that is chosen."""

from pathlib import Path

from course_utils.errors import UnknownModel
from course_utils.models import loading
from course_utils.models.inference.base import BaseLanguageModel
from course_utils.models.registry import registry, release_stage
from course_utils.models.registry.catalogue import Entry


class ModelPicker:
    """The models of one panel.

    Parameters
    ----------
    given : str, Path or BaseLanguageModel, optional
        What the person asked for: a name on the shelf, a checkpoint's folder, a loaded model, a model server's address,
        or nothing.
    """

    def __init__(self, given: str | Path | BaseLanguageModel | None = None) -> None:
        self._given = given
        self._model: BaseLanguageModel | None = None

    @property
    def server(self) -> str:
        """The address of the server whose models are offered; empty where they lie on this machine."""
        return "" if isinstance(self._given, Path | BaseLanguageModel) else loading.server_of(self._given)

    def first_name(self) -> str:
        """Return the name of the model asked for, else of the best one here, or of the server's first.

        Raises
        ------
        UnknownModel, ModelNotHere, NoServer
        AccessRefused
            The release stage that is set keeps it closed.
        """
        given = self._given
        if given is None or loading.is_address(given):
            if self.server:
                return loading.best_of(self.server)
            loading.require_room()
            return registry.best_here()
        if isinstance(given, str):
            name = given if self.server else registry.entry(given).name
        else:
            name = given.name or registry.entry(str(given)).name  # a path such as "." has no name
        release_stage.require_open(name)
        return name

    def choices(self, current: str = "") -> list[dict[str, str]]:
        """Return name and description of every model that is here and fits into the free memory, or speaks already.

        What the release stage keeps closed is left out.

        Raises
        ------
        NoServer
        """
        if self.server:
            return [{"name": each["name"], "about": each["about"]} for each in loading.offered(self.server)]
        here = [] if loading.is_bare_hall() else [each for each in registry.entries() if registry.is_here(each.name)]
        offered = {each.name: _describe(each) for each in here if each.name == current or registry.fits(each)}
        if self._given_name():
            offered[self._given_name()] = getattr(self._given, "label", str(self._given))
        return [{"name": name, "about": about} for name, about in offered.items() if release_stage.is_open(name)]

    def is_ready(self, name: str) -> bool:
        """Tell whether that model is loaded."""
        return self._model is not None and self._model.name == name

    def load(self, name: str, precision: str = "auto") -> BaseLanguageModel:
        """Return a model, loading it if need be; slow, so call it from the worker.

        Raises
        ------
        AccessRefused
            The release stage that is set keeps it closed, also where it is loaded already.
        UnknownModel
            It is no name: a page may choose one of the models here, and send nobody to another address.
        """
        require_name(name)
        release_stage.require_open(name)
        if self._model is None or self._model.name != name:
            self._model = None  # release the model before: both together may need more memory than there is
            source = self._given if name == self._given_name() else name
            if isinstance(source, BaseLanguageModel):
                self._model = source
            else:
                self._model = loading.load(source, precision, self.server)
        return self._model

    def _given_name(self) -> str:
        """Return the name of the folder or loaded model that was given; empty when it is one of the shelf's."""
        return self._given.name if isinstance(self._given, Path | BaseLanguageModel) else ""


def require_name(name: object) -> None:
    """Require that a page names a model, where a notebook may also give an address.

    Raises
    ------
    UnknownModel

    Examples
    --------
    >>> require_name("pocket-xl")
    """
    if not isinstance(name, str) or loading.is_address(name):
        raise UnknownModel(f"{str(name)[:60]!r} is no model's name.", "One that the panel offers.", "Choose another.")


def _describe(entry: Entry) -> str:
    about = f"{entry.about} ({entry.released})" if entry.released else entry.about
    return f"{about} · {entry.n_parameters / 1e6:,.1f} M parameters"
