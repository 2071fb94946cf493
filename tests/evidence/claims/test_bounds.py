"""An end of an interval, a count or another row's number is not taken for the result of a record."""

import pytest
from made_claims import found, record

from course_utils.evidence.claims.check import FAULT, HINT

ROWS = [
    {"detector": "word counts", "auc": 0.9626, "auc_low": 0.885, "auc_high": 0.993, "n_human": 47},
    {"detector": "ranks under pocket-xl", "auc": 0.7512, "auc_low": 0.641, "auc_high": 0.858, "n_human": 47},
]
AUC = record(
    0.9626, low=0.885, high=0.993, n=47, seed=7, of="word counts on texts by pocket-small", rows=ROWS,
    settings={"n_words": 40, "temperature": 0.8},
    finding="On 47 pairs, word counts reach AUC 0.96 (0.89 to 0.99), p = 0.0123.",
)  # fmt: skip
SHARE = record(
    0.3117, low=0.2531, high=0.3849, n=200, unit="share", metric="rate", finding="It was 31 % (25 % to 38 %)."
)
KINDS = ("interval bound", "other number", "other row")


def said(text: str) -> list[tuple[str, str, str]]:
    text = text.replace("@AUC", f"@{AUC.id}").replace("@SHARE", f"@{SHARE.id}")
    return [(each.kind, each.severity, each.quote) for each in found(text, AUC, SHARE) if each.kind in KINDS]


WRONG = {
    "The detector reaches an AUC of 0.99 [@AUC].": "0.99",
    "The detector reaches an AUC of 0.993 [@AUC].": "0.993",
    "The AUC is 0.885 [@AUC].": "0.885",
    "The AUC was only 0.89 [@AUC].": "0.89",
    "The interval is wide, but the AUC is 0.993 [@AUC].": "0.993",
    "With 0.993 the detector is nearly perfect [@AUC].": "0.993",
    "Exactly 99.3 % of couples are told apart [@AUC].": "99.3 %",
    "38 % of the texts had such a word [@SHARE].": "38 %",
    "The rate was 0.253 [@SHARE].": "0.253",
    "A share of 38.5 percent had such a word [@SHARE].": "38.5 percent",
    "Ranks reach 0.858 [@AUC].": "0.858",
}
RIGHT = """
The AUC lies between 0.885 and 0.993 [@AUC].
The AUC is 0.96 (0.885 to 0.993) [@AUC].
The AUC is 0.96 (95 % interval 0.885–0.993, n = 47) [@AUC].
The AUC is 0.96 [0.885, 0.993] [@AUC].
The AUC goes from 0.89 to 0.99 [@AUC].
The AUC is at least 0.885 [@AUC].
The interval ends at 0.993 [@AUC].
The interval of the AUC begins at 0.885 [@AUC].
Its lower bound is 0.885 [@AUC].
Its upper limit of 0.993 is close to a perfect detector [@AUC].
Even the lower end, 0.885, is far above a coin [@AUC].
The AUC could be as low as 0.885 [@AUC].
The AUC is at most 0.993 [@AUC].
The AUC is 0.9626 [@AUC].
With 47 pairs, the AUC is 0.96 [@AUC].
In texts of 40 words the AUC is 0.96 [@AUC].
Between 25 % and 38 % of the texts had such a word [@SHARE].
25 to 38 % of the texts had such a word [@SHARE].
In the worst case 38 % of the texts had such a word [@SHARE].
31 % of the texts had such a word [@SHARE].
The interval is 0.108 wide [@AUC].
Ranks under pocket-xl reach only 0.75 [@AUC].
The difference is significant, p = 0.0123 [@AUC].
The best case is 0.993, the worst case 0.885 [@AUC].
"""


@pytest.mark.parametrize("text", WRONG)
def test_an_end_of_an_interval_told_as_the_result_is_a_fault(text):
    assert said(text) == [("interval bound", FAULT, WRONG[text])]


@pytest.mark.parametrize("text", RIGHT.strip().split("\n"))
def test_the_right_use_of_an_interval_is_left_alone(text):
    assert said(text) == []


def test_what_the_end_is_of_is_told():
    (each,) = [one for one in found(f"An AUC of 0.99 [@{AUC.id}].", AUC) if one.kind == "interval bound"]
    assert each.says.startswith("0.99 is the upper end of the interval") and "0.9626 (0.885 to 0.993)" in each.says
    (each,) = [one for one in found(f"Ranks have 0.641 [@{AUC.id}].", AUC) if one.kind == "interval bound"]
    assert each.says.startswith("0.641 is the lower end of an interval")


def test_up_to_an_end_is_worth_a_look():
    assert said("The AUC is up to 0.993 [@AUC].") == [("interval bound", HINT, "0.993")]


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("The detector reaches an AUC of 47 [@AUC].", "47"),
        ("The AUC of the detector was 40 [@AUC].", "40"),
        ("The AUC is 7 [@AUC].", "7"),
        ("The AUC is 0.108 [@AUC].", "0.108"),
        ("The AUC is not 0.108 [@AUC].", "0.108"),
        ("The AUC is 0.0123 [@AUC].", "0.0123"),
        ("The AUC is 94 % [@AUC].", "94 %"),
    ],
)
def test_a_count_a_width_or_a_p_value_told_as_the_result_is_a_fault(text, quote):
    assert said(text) == [("other number", FAULT, quote)]


def test_the_number_of_another_row_needs_the_name_of_the_row():
    assert said("The AUC is 0.75 [@AUC].") == [("other row", HINT, "0.75")]
    assert said("Ranks reach an AUC of 0.75 [@AUC].") == []
