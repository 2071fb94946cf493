"""API gateway in front of a model: text for a key, with quota, price and log, and nothing else.

All numbers here are the course's own, and no provider's. The gate stands in the same process as the model, so whoever
writes Python can walk around it; a real one stands on somebody else's machine.
"""

import dataclasses
import datetime
import math
import secrets
import threading
from collections.abc import Callable
from typing import NoReturn

import pandas as pd

from course_utils.errors import AccessRefused, SettingsError, TextError
from course_utils.models.inference.base import BaseLanguageModel
from course_utils.models.inference.settings import Settings

TERMS = (
    "Every prompt is logged, and the provider reads the log.",
    "The key is yours alone, and can be revoked at any time.",
    "Text that leaves your hands says that a machine wrote it.",
)
# A simple rule, open to all: a prompt with one of these is refused. It misses every paraphrase, and it stops the honest
# person who writes about phishing: both can be tried.
REFUSED_WORDS = {
    "phishing": ("your password", "verify your account", "bank account"),
    "spam": ("buy now", "limited offer"),
    "fake news": ("fake news", "breaking news"),
}
MAX_PURPOSE_CHARACTERS = 300  # characters
LOG_COLUMNS = ["time", "key", "purpose", "prompt", "answer", "n_tokens", "cost"]


@dataclasses.dataclass
class Key:
    """API key.

    Parameters
    ----------
    name : str
        What is sent with every request.
    purpose : str
        What its holder said that it is for; nobody can check it.
    quota : int
        Requests that are left to it.
    is_revoked : bool
    """

    name: str
    purpose: str
    quota: int
    is_revoked: bool = False


class GatedModel:
    """API gateway of a model: it returns text, but no probabilities and no weights.

    Parameters
    ----------
    model : LanguageModel
    price_per_1000_tokens : float
        In dollars, for the tokens of prompt and answer together.
    quota : int
        Requests a key.
    max_new_tokens : int
        The longest answer.
    refused_words : dict of str to sequence of str
        Which words show which misuse; the whole usage rule.

    Attributes
    ----------
    cost : float
        In dollars, of all answers so far.

    Examples
    --------
    ::

        gated = GatedModel(load())
        key = gated.request_key("a lesson on release strategies")
        gated.generate("The letter said", key)
        gated.log()
    """

    def __init__(
        self,
        model: BaseLanguageModel,
        price_per_1000_tokens: float = 0.06,
        quota: int = 20,
        max_new_tokens: int = 60,
        refused_words: dict[str, tuple[str, ...]] = REFUSED_WORDS,
    ) -> None:
        if not 0 <= price_per_1000_tokens < math.inf or quota < 1:
            raise SettingsError(
                f"The price is {price_per_1000_tokens!r}, the quota {quota!r}.",
                "A price from 0 dollars and a quota from 1 request.",
                "GatedModel(model, price_per_1000_tokens=0.06, quota=20)",
            )
        self.price_per_1000_tokens, self.quota, self.max_new_tokens = price_per_1000_tokens, quota, max_new_tokens
        self.refused_words, self.cost = dict(refused_words), 0.0
        self._model = model
        self._keys: dict[str, Key] = {}
        self._log: list[dict[str, object]] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """Return the model's name, the quota and the price."""
        price = f"{self.price_per_1000_tokens:g} dollars per 1000 tokens"
        return f"GatedModel of {self._model.name}: {self.quota} requests for each key, {price}"

    # -- what a user can do --------------------------------------------------------------------------------------------

    def request_key(self, purpose: str) -> Key:
        """Ask for a key; asking is agreeing to `TERMS`.

        Parameters
        ----------
        purpose : str
            What it is for, in words. The gate can only read what you write.

        Raises
        ------
        TextError
            No purpose is given, or it is longer than 300 characters.
        AccessRefused
            It names a misuse.
        """
        purpose = purpose.strip()
        if not 3 <= len(purpose) <= MAX_PURPOSE_CHARACTERS:
            raise TextError(
                f"The purpose has {len(purpose)} characters.",
                f"What you will use it for, in 3 to {MAX_PURPOSE_CHARACTERS} characters.",
                'request_key("a lesson on release strategies")',
            )
        self._refuse_misuse(purpose, "The purpose")
        key = Key(f"key-{secrets.token_hex(4)}", purpose, self.quota)
        self._keys[key.name] = key
        return key

    def generate(
        self,
        prompt: str,
        key: Key | str | None,
        temperature: float = 1.0,
        cancel: threading.Event | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> str:
        """Return a text, and nothing about it. There is no seed: the provider draws another one each time.

        Parameters
        ----------
        prompt : str
        key : Key or str
        temperature : float
        cancel : threading.Event, optional
            Stop between two tokens; what was written until then is answered, and paid.
        progress : callable, optional
            Told after each token how many have come.

        Raises
        ------
        AccessRefused
            No key, a revoked one, no requests left, or a prompt against the usage rule. Whatever is sent with a key is
            in the log, refused or not; a refused prompt costs nothing and counts as no request.
        SettingsError, TextError
        """
        held = self._require_key(key)
        settings = Settings(self.max_new_tokens, temperature, seed=secrets.randbelow(2**31))
        n_prompt = self._model.count_tokens(prompt)
        try:
            self._refuse_misuse(prompt, "The prompt")
            self._take_request(held)
        except AccessRefused as refused:
            self._write(held, prompt, f"refused: {refused.what}", 0)
            raise
        stream = self._model.stream(prompt, settings, cancel=cancel)
        for n_written, _ in enumerate(stream, start=1):
            if progress:
                progress(n_written)
        answer = stream.generations()[0]
        self._write(held, prompt, answer.text, n_prompt + len(answer.steps))
        return answer.text

    def probabilities(self, *_asked: object, **_settings: object) -> NoReturn:
        """Refuse: this gate has no door for the next token's probabilities."""
        self._has_no_door("probabilities")

    def score(self, *_asked: object, **_settings: object) -> NoReturn:
        """Refuse: without probabilities no text can be scored."""
        self._has_no_door("probability of a text, and so no perplexity")

    def inside(self, *_asked: object, **_settings: object) -> NoReturn:
        """Refuse: the weights stay with the provider."""
        self._has_no_door("weights, and tells neither their number nor their hash")

    # -- what the provider can do --------------------------------------------------------------------------------------

    def revoke(self, key: Key | str) -> None:
        """Make a key worthless from now on; texts that were written stay where they are.

        Raises
        ------
        AccessRefused
            No such key was given out.
        """
        name = _name_of(key)
        if name not in self._keys:
            raise AccessRefused(f"No key is called {name!r}.", "One that was given out.", "request_key gives one out.")
        self._keys[name].is_revoked = True

    def log(self) -> pd.DataFrame:
        """Return what the provider sees, one row a request.

        Returns
        -------
        pandas.DataFrame
            time, key, purpose, prompt, answer (or why there was none), n_tokens, cost in dollars.
        """
        with self._lock:
            return pd.DataFrame(self._log, columns=LOG_COLUMNS)

    # -- the gate ------------------------------------------------------------------------------------------------------

    def _require_key(self, key: Key | str | None) -> Key:
        held = None if key is None else self._keys.get(_name_of(key))
        if held is None:
            what = "The request carries no key." if key is None else f"No key is called {_name_of(key)!r}."
            raise AccessRefused(what, "A key that this provider gave out.", "Ask for one: request_key(purpose).")
        if held.is_revoked:
            raise AccessRefused(
                f"The provider has revoked {held.name}.",
                "A key that is valid.",
                "Ask for another one with request_key(purpose), or use a model with open weights.",
            )
        return held

    def _take_request(self, held: Key) -> None:
        with self._lock:
            is_left = held.quota > 0
            held.quota -= is_left
        if not is_left:
            raise AccessRefused(
                f"The quota of {held.name} is used up: {self.quota} requests.",
                "A key with requests left.",
                "Ask for another one with request_key(purpose); the provider sees that you did.",
            )

    def _refuse_misuse(self, text: str, what: str) -> None:
        lowered = text.casefold()
        for misuse, words in self.refused_words.items():
            for word in words:
                if word in lowered:
                    raise AccessRefused(
                        f"{what} has “{word}”, which the usage rule takes for {misuse}.",
                        "None of the words on its list; the rule reads no meaning.",
                        "Say it in other words, if your use is an honest one.",
                    )

    def _has_no_door(self, what: str) -> NoReturn:
        raise AccessRefused(
            f"This API gives no {what}.",
            "A request for text: generate(prompt, key).",
            "With open weights it is one line: load() and ask the model itself.",
        )

    def _write(self, held: Key, prompt: str, answer: str, n_tokens: int) -> None:
        time = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        cost = n_tokens / 1000 * self.price_per_1000_tokens
        with self._lock:
            self.cost += cost
            row = [time, held.name, held.purpose, prompt, answer, n_tokens, cost]
            self._log.append(dict(zip(LOG_COLUMNS, row, strict=True)))


def _name_of(key: Key | str) -> str:
    return key.name if isinstance(key, Key) else key
