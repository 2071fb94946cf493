"""A gate and three doors: text for a key, all of it logged and paid; open weights answer what the others refuse."""

import threading

import pytest
from conftest import N_SMALL

from course_utils.core.wheels import sha256_of
from course_utils.errors import AccessRefused, SettingsError, TextError
from course_utils.experiments.access.access_modes import (
    ACTIONS,
    MANY,
    N_MANY,
    TEXT,
    AccessRequest,
    Api,
    HostedDemo,
    LazyModel,
    OpenWeights,
    dollars,
)
from course_utils.experiments.access.api_gateway import REFUSED_WORDS, GatedModel
from course_utils.models.inference.settings import Settings
from course_utils.models.registry.checksums import WEIGHTS

PROMPT = "The letter said"
PURPOSE = "a lesson"
SETTINGS = Settings(max_new_tokens=6, seed=3)


@pytest.fixture
def gated(tiny) -> GatedModel:
    return GatedModel(tiny, price_per_1000_tokens=2.0, quota=3, max_new_tokens=6)


def wish(action: str = TEXT, prompt: str = PROMPT) -> AccessRequest:
    return AccessRequest(action, prompt, SETTINGS)


# -- the gate ----------------------------------------------------------------------------------------------------------


def test_text_comes_for_a_key_and_every_token_is_paid(gated, tiny):
    key = gated.request_key(PURPOSE)
    n_prompt = len(tiny.encode(PROMPT))
    for n_asked in range(1, 4):
        text = gated.generate(PROMPT, key if n_asked % 2 else key.name)
        assert text
        assert key.quota == 3 - n_asked
        row = gated.log().iloc[-1]
        assert (row["prompt"], row["answer"], row["purpose"], row["key"]) == (PROMPT, text, PURPOSE, key.name)
        assert n_prompt < row["n_tokens"] <= n_prompt + 6
        assert (
            gated.cost == pytest.approx(gated.log()["cost"].sum()) == pytest.approx(gated.log()["n_tokens"].sum() / 500)
        )


@pytest.mark.parametrize("key", [None, "", "key-0000", "</script>"])
def test_without_a_key_nothing_comes_and_nothing_is_logged(gated, key):
    with pytest.raises(AccessRefused, match=r"(?s)key.*request_key"):
        gated.generate(PROMPT, key)
    assert len(gated.log()) == 0


def test_beyond_the_quota_requests_are_refused_and_logged_and_a_new_key_has_a_new_quota(gated):
    key = gated.request_key(PURPOSE)
    for _ in range(3):
        gated.generate(PROMPT, key)
    cost = gated.cost
    with pytest.raises(AccessRefused, match="used up: 3 requests"):
        gated.generate(PROMPT, key)
    assert gated.cost == cost
    assert gated.log()["answer"].iloc[-1].startswith("refused: The quota")
    assert gated.generate(PROMPT, gated.request_key(PURPOSE))


def test_a_revoked_key_is_worthless_and_another_one_is_not(gated):
    first, second = gated.request_key(PURPOSE), gated.request_key(PURPOSE)
    gated.revoke(first)
    with pytest.raises(AccessRefused, match="revoked"):
        gated.generate(PROMPT, first)
    assert gated.generate(PROMPT, second)
    with pytest.raises(AccessRefused, match="No key is called"):
        gated.revoke("key-0000")


@pytest.mark.parametrize("word", [word for words in REFUSED_WORDS.values() for word in words])
def test_a_listed_word_is_refused_however_it_is_written_and_a_paraphrase_is_not(gated, word):
    key = gated.request_key(PURPOSE)
    with pytest.raises(AccessRefused, match="usage rule"):
        gated.generate(f"Write: {word.upper()}!", key)
    with pytest.raises(AccessRefused, match="The purpose has"):
        gated.request_key(f"I study {word}")
    assert (key.quota, gated.cost) == (3, 0)
    assert word.upper() in gated.log()["prompt"].iloc[-1]
    assert gated.generate(f"Write: {'-'.join(word)}", key)


@pytest.mark.parametrize("purpose", ["", "  ", "x" * 301])
def test_a_key_needs_a_purpose(gated, purpose):
    with pytest.raises(TextError, match="The purpose has"):
        gated.request_key(purpose)


@pytest.mark.parametrize("ask", ["probabilities", "score", "inside"])
def test_what_the_gate_has_no_door_for_is_refused_with_a_way_out(gated, ask):
    with pytest.raises(AccessRefused, match=r"(?s)This API gives no .*open weights"):
        getattr(gated, ask)(PROMPT, key=gated.request_key(PURPOSE))


def test_a_stopped_answer_is_answered_and_paid_as_far_as_it_came(gated):
    key, cancel = gated.request_key(PURPOSE), threading.Event()
    text = gated.generate(PROMPT, key, cancel=cancel, progress=lambda n: n == 2 and cancel.set())
    assert gated.log()["answer"].tolist() == [text]
    assert 0 < gated.cost < gated.log()["n_tokens"].iloc[0]


@pytest.mark.parametrize(
    "numbers", [{"price_per_1000_tokens": -1}, {"quota": 0}, {"price_per_1000_tokens": float("nan")}]
)
def test_prices_and_quotas_that_cannot_be_are_refused(tiny, numbers):
    with pytest.raises(SettingsError):
        GatedModel(tiny, **numbers)


# -- the doors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_open_weights_answer_every_wish_as_the_model_itself_does(tiny, tiny_folder, action):
    told = OpenWeights(tiny).answer(wish(action))
    facts = dict(told.get("facts", []))
    if action in (TEXT, MANY):
        n_samples = N_MANY if action == MANY else 1
        assert told["texts"] == [each.text for each in tiny.generate(PROMPT, SETTINGS, n_samples)]
        assert told["texts"] == OpenWeights(tiny).answer(wish(action))["texts"]
    elif action == "probabilities":
        best = tiny.next_tokens(PROMPT, 10)
        assert told["rows"] == [[each.text, f"{each.probability:.1%}"] for each in best]
    elif action == "score":
        assert facts["perplexity"] == f"{tiny.score(PROMPT).perplexity:,.1f}"
    else:
        assert facts["parameters"] == f"{tiny.n_parameters:,}"
        assert facts["sha256 of the file"] == sha256_of(tiny_folder / WEIGHTS)
        assert facts["token embedding, shape"] == f"{N_SMALL:,} × 64"


@pytest.mark.parametrize("action", ACTIONS)
def test_api_and_demo_give_text_or_say_why_not(gated, tiny, action):
    api, demo = Api(gated, gated.request_key(PURPOSE)), HostedDemo(tiny, Settings(6))
    if action == TEXT:
        assert set(api.answer(wish())) == {"texts", "note", "error"}
        assert set(demo.answer(wish())) == {"texts", "note"}
        return
    with pytest.raises(AccessRefused, match="This page gives no"):
        demo.answer(wish(action))
    if action == MANY:
        told = api.answer(wish(MANY))
        assert len(told["texts"]) == 3 and "used up" in told["error"]
    else:
        with pytest.raises(AccessRefused, match="This API gives no"):
            api.answer(wish(action))


def test_seeds_count_where_the_weights_are_open_and_nowhere_else(gated, tiny):
    gated.quota = 50
    doors = [Api(gated, gated.request_key(PURPOSE)), HostedDemo(tiny, Settings(6))]
    for door in doors:
        assert len({door.answer(wish())["texts"][0] for _ in range(6)}) > 1  # the same six times: once in 10^10 or less


def test_a_lazy_model_is_asked_for_at_each_use(tiny):
    asked = []
    lazy = LazyModel(lambda: asked.append(1) or tiny)
    assert asked == []
    assert lazy.encode("a") == tiny.encode("a") and lazy.name == tiny.name
    assert len(asked) == 2


def test_small_prices_are_not_nothing():
    assert (dollars(0.0042), dollars(0), dollars(1234.5)) == ("$0.0042", "$0.0000", "$1,234.50")
