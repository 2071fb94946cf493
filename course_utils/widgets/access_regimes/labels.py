"""What the access panel says of its regimes: a real example of each, the account, how often each was tried."""

from collections.abc import Mapping, Sequence

from course_utils.experiments.access.access_modes import dollars
from course_utils.experiments.access.api_gateway import GatedModel, Key
from course_utils.experiments.release import history

REGIMES = ("open", "api", "demo")
# What a notebook is told to type, a page is told to press.
IN_PAGE = {
    "A request for text: generate(prompt, key).": "A request for text.",
    "With open weights it is one line: load() and ask the model itself.": "Press the same button under Open weights.",
    "Ask for one: request_key(purpose).": "Ask for one with the button above.",
    "Ask for another one with request_key(purpose)": "Ask for another one with the button above",
    "Try the same with open weights.": "Press the same button under Open weights.",
}
N_TOKENS = 60
TYPICAL_TOKENS = N_TOKENS + 10  # of prompt and text together, for what many texts would cost


def with_example(regime: dict[str, str]) -> dict[str, str]:
    """Put a real example beside a regime, with its source."""
    known = history.rows("strategies").set_index("strategy").loc[regime["strategy"]]
    return regime | {"example": known["example"], "source": known["source"], "how": history.TAGS[known["tag"]]}


def questions(asked: Sequence[dict], tried: Mapping[tuple[str, str], int], api: GatedModel) -> list[dict]:
    """Return each question with its answer under every regime, and how often that was tried."""
    prices = {f"cost_{n}": f"{n * TYPICAL_TOKENS / 1000 * api.price_per_1000_tokens:,.2f}" for n in (1000, 5000)}
    return [
        {"who": each["who"], "ask": each["ask"]}
        | {"answers": [answer.format(quota=api.quota, **prices) for answer in each["answers"]]}
        | {"tried": [tried[pair] for pair in zip(REGIMES, each["deeds"], strict=True)]}
        for each in asked
    ]


def account(api: GatedModel, key: Key | None) -> dict:
    """Return the account with the API's provider: price, quota, cost, and what is known of the key."""
    known = {"price": f"${api.price_per_1000_tokens:g}", "quota": api.quota, "cost": dollars(api.cost)}
    if key:
        known |= {"name": key.name, "purpose": key.purpose, "left": key.quota, "is_revoked": key.is_revoked}
    return known


def on_page(words: str) -> str:
    """Return an error's words as a page says them: it has buttons, and nothing to type code into.

    Examples
    --------
    >>> on_page("Next: Ask for one: request_key(purpose).")
    'Next: Ask for one with the button above.'
    """
    for typed, pressed in IN_PAGE.items():
        words = words.replace(typed, pressed)
    return words
