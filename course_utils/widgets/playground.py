"""The playground: a prompt in, a model's text out, token by token, with everything that shaped it in view."""

import dataclasses

import traitlets

from course_utils.errors import TextError
from course_utils.models.settings import Settings
from course_utils.widgets.form import LIMITS, Form, n_samples_of, settings_of
from course_utils.widgets.furniture import HERE, browser_half  # noqa: F401  HERE: where the browser half lies
from course_utils.widgets.live_panel import LivePanel


class Playground(Form, LivePanel):
    """A panel to try a language model in JupyterLab or Voila; it can be driven without a browser too.

    Parameters
    ----------
    model : str, Path or Speaker, optional
        A name on the shelf, a checkpoint's folder or a loaded model; the best model on this machine when left out.
    prompt : str
        What stands in the prompt box at first.
    settings : Settings, optional
    n_samples : int
        How many texts are written at once, 1 to 8.
    projector : bool
        Large type, for a lecture hall.

    Attributes
    ----------
    state : str
        ``idle``, ``loading``, ``generating``, ``done``, ``stopped`` or ``failed``; `message` then says why.
    samples : list of dict
        What was written last, one a sample: text, seed, ended and, when all is finished, steps.
    generations : list of Generation
        The same with everything the model room tells about each token.
    best : int
        The sample picked as the best, counted from 0; -1 when none.
    transcript : str
        Every request since the last `clear`, as Markdown.

    Examples
    --------
    ::

        panel = Playground("gpt2", prompt="Once upon a time")
        panel.generate()
        panel.wait()
        panel.samples[0]["text"]
    """

    _esm, _css = browser_half("live_panel", "playground")

    ranges = traitlets.Dict(LIMITS).tag(sync=True)

    def __init__(self, model=None, prompt="", settings=None, n_samples=1, projector=False) -> None:
        values = {**dataclasses.asdict(settings or Settings()), "n_samples": n_samples}
        super().__init__(model, prompt=prompt, values=values, projector=projector)

    # -- what a person or a test can do --------------------------------------------------------------------------------

    def generate(self) -> None:
        """Write from the prompt, in the background; a text still being written is stopped."""
        if self._blame():
            return
        prompt, settings, n_samples = self.prompt, settings_of(self.values), n_samples_of(self.values)
        self._ask(lambda speaker, cancel: speaker.stream(prompt, settings, n_samples, cancel), is_new=True)

    def resume(self) -> None:
        """Let the texts go on where they ended, with the settings and seeds they were begun with."""
        before = list(self.generations)
        if before and before[0].model_name == self.model:
            self._ask(lambda speaker, cancel: speaker.resume(before, cancel), is_new=False)
            return
        what = f"The text was begun by {before[0].model_name}." if before else "There is no text to go on with."
        expected = "A text begun by the chosen model."
        self._fail(TextError(what, expected, "Choose that model again, or press Generate."))

    # -- what the browser says -----------------------------------------------------------------------------------------

    def _obey(self, content: dict, buffers: list) -> None:
        match content:
            case {"kind": "choose", "model": str(name)}:
                self.model = name
                self._prepare()
            case {"kind": "generate", "prompt": str(prompt), "values": dict(values)}:
                self._show(prompt=prompt, values=values)
                self.generate()
            case {"kind": "pick", "sample": int(sample)}:
                self.pick(sample)
            case {"kind": "resume"}:
                self.resume()
            case _:
                super()._obey(content, buffers)
