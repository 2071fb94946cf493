"""The access regimes without a browser: the same model behind three doors, and what was tried is counted."""

import pytest

from course_utils.errors import AccessRefused, SettingsError, TextError
from course_utils.experiments.access.access_modes import ACTIONS, N_MANY
from course_utils.models.inference.language_model import LanguageModel
from course_utils.models.registry import release_stage
from course_utils.widgets.access_regimes.access_regimes import REGIMES, AccessRegimes
from tests.conftest import save_random_gpt2

pytestmark = pytest.mark.slow

SOON = 120
PROMPT = "The letter said"
HOSTILE = "</script><img src=x onerror=window.__xss=1>"


@pytest.fixture
def regimes(tiny):
    panel = AccessRegimes(tiny)
    yield panel
    panel.close()
    assert panel.wait(SOON)
    release_stage.open_all()


def ask(panel: AccessRegimes, regime: str, action: str = "text", prompt: str = PROMPT) -> dict:
    panel.ask(regime, prompt, action)
    assert panel.wait(SOON)
    return panel.answers[regime]


def hear(panel: AccessRegimes, **content) -> None:
    panel._on_message(panel, content, [])


def tried(panel: AccessRegimes, words: str) -> list[int]:
    rows = panel.tried[panel.tried["question"].str.contains(words, regex=False)]
    return rows["tried"].tolist()


def test_open_weights_answer_all_and_the_others_what_they_are_for(regimes):
    regimes.request_key("a lesson")
    answered = {
        (regime, action): "error" not in ask(regimes, regime, action) for regime in REGIMES for action in ACTIONS[2:]
    }
    assert answered == {(regime, action): regime == "open" for regime in REGIMES for action in ACTIONS[2:]}
    assert regimes.state == "failed"
    for regime in REGIMES:
        assert len(ask(regimes, regime)["texts"]) == 1
        assert regimes.state == "done"
    assert len(ask(regimes, "open", "many")["texts"]) == N_MANY


def test_the_same_seed_is_the_same_text_with_open_weights_and_the_panel_says_which_it_was(regimes):
    regimes.request_key("a lesson")
    first = ask(regimes, "open")["texts"]
    again = ask(regimes, "open")
    assert again["texts"] == first and "the same text as before" in again["note"]
    regimes.values = {**regimes.values, "seed": 1}
    assert ask(regimes, "open")["texts"] != first
    for regime in REGIMES[1:]:
        ask(regimes, regime)
        assert " text " in ask(regimes, regime)["note"].split(", from the same prompt")[0]
    assert tried(regimes, "next year") == [1, 1, 1]


def test_only_the_api_logs_and_costs_and_the_provider_sees_every_prompt(regimes):
    for regime in ("open", "demo"):
        ask(regimes, regime, prompt=HOSTILE)
    assert (len(regimes.log), regimes.cost) == (0, 0)
    assert "carries no key" in ask(regimes, "api")["error"]
    key = regimes.request_key("a lesson")
    assert regimes.key is key and regimes.account["left"] == key.quota == 20
    ask(regimes, "api", prompt=HOSTILE)
    assert regimes.log["prompt"].tolist() == [HOSTILE] == [row["prompt"] for row in regimes.logged]
    assert regimes.cost > 0 and regimes.account["left"] == 19
    assert "usage rule" in ask(regimes, "api", prompt="Tell me your password")["error"]
    assert len(regimes.logged) == 2 and regimes.account["left"] == 19
    regimes.revoke()
    assert regimes.account["is_revoked"]
    assert "revoked" in ask(regimes, "api")["error"]


def test_ten_texts_through_the_api_end_with_the_quota_and_keep_what_came(regimes):
    key = regimes.request_key("a lesson")
    key.quota = 2
    answer = ask(regimes, "api", "many")
    assert len(answer["texts"]) == 2 and "used up" in answer["error"]


def test_what_was_tried_is_counted_where_it_was_tried_also_in_vain(regimes):
    assert regimes.tried["tried"].sum() == 0
    assert regimes.tried["answer"].str.len().min() > 0
    ask(regimes, "demo", "score")
    assert tried(regimes, "perplexity") == [0, 0, 1]
    ask(regimes, "open", "many", "Tell me your password")
    assert tried(regimes, "thousand") == [1, 0, 0]
    assert tried(regimes, "forbids") == [1, 0, 0]
    assert tried(regimes, "unobserved") == [1, 0, 0]
    with pytest.raises(AccessRefused):
        regimes.revoke()
    regimes.request_key("a lesson")
    regimes.revoke()
    assert tried(regimes, "take it back") == [0, 1, 0]


def test_prices_and_quota_in_the_table_are_those_of_the_gate(regimes):
    answers = " ".join(regimes.tried["answer"])
    assert "{" not in answers
    assert (
        f"${70 * regimes.api.price_per_1000_tokens:,.2f}" in answers
        and f"{regimes.api.quota} requests a key" in answers
    )


def test_stop_keeps_what_has_come(tiny_folder, regimes):
    regimes.request_key("a lesson")
    for regime in REGIMES:
        regimes.ask(regime, PROMPT, "text" if regime == "demo" else "many")
        regimes.stop()
        assert regimes.wait(SOON)
        assert regimes.state == "stopped" and "stopped" in regimes.answers[regime]["note"]
    assert ask(regimes, "open")["texts"]


def test_a_closed_stage_closes_all_three_doors_and_opens_them_again(tmp_path):
    panel = AccessRegimes(LanguageModel(save_random_gpt2(tmp_path / "pocket-large", n_embd=32)))
    key = panel.request_key("a lesson")
    assert "texts" in ask(panel, "api")
    release_stage.choose("May 2019")
    assert "pocket-large is not released yet" in panel.message
    for regime in REGIMES:
        assert "opens in Aug 2019" in ask(panel, regime)["error"]
    assert key.quota == 19
    release_stage.choose("Aug 2019")
    assert panel.message == "" and panel.speaker.startswith("pocket-large")
    assert "texts" in ask(panel, "open")
    release_stage.open_all()
    panel.close()


def test_the_default_model_follows_the_stage(monkeypatch):
    monkeypatch.delenv("COURSE_MODELS")
    panel = AccessRegimes()
    assert panel.speaker.startswith("pocket-xl")
    release_stage.choose("Feb 2019")
    assert panel.speaker.startswith("pocket-small")
    release_stage.open_all()
    panel.close()


def test_wrong_names_numbers_and_purposes_are_told(regimes):
    for regime, action in (("closed", "text"), ("open", "weights")):
        with pytest.raises(SettingsError, match="One of"):
            regimes.ask(regime, PROMPT, action)
    with pytest.raises(TextError):
        regimes.request_key("")
    hear(regimes, kind="ask", regime="open", action="text", prompt=PROMPT, values={"seed": None, "temperature": 1})
    assert regimes.problems["seed"].startswith("Seed is empty.") and "Seed" in regimes.message
    regimes.values = {"seed": 5, "temperature": "0,5"}
    assert (regimes.problems, regimes.message, regimes.values["temperature"]) == ({}, "", 0.5)
    hear(regimes, kind="request key", purpose="")
    assert "The purpose has 0" in regimes.account["problem"]
    hear(regimes, kind="request key", purpose="a lesson")
    assert "problem" not in regimes.account
    hear(regimes, kind="ask", regime="api", action="text", prompt=PROMPT, values={"seed": 5, "temperature": 1})
    assert regimes.wait(SOON) and "texts" in regimes.answers["api"]
    hear(regimes, kind="revoke")
    assert regimes.account["is_revoked"]
