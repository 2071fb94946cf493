"""For maintainers: make what the demos of a lecture bring along, from real runs on this machine.

    python tests/record_demos.py items STORIES    # old_stories.json; STORIES is the family's valid.txt (DATASHEET.md)
    python tests/record_demos.py record KEY...    # the recordings of these demos, or of all
    python tests/record_demos.py pictures URL     # the gallery's pictures, from a running Voila or hall
    python tests/record_demos.py rehearse FILE    # votes drawn at random, for a hall's rehearsal and for its picture

Look at every text before it is kept: a model may write what nobody should read. Where it did, change the seed here.
"""

import dataclasses
import io
import json
import random
import re
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from course_utils import (
    AccessRegimes,
    BlindTest,
    DetectorBench,
    Playground,
    ReleaseTimeline,
    SideBySide,
    TokenMap,
    load,
)
from course_utils.classroom import store
from course_utils.classroom.votes import READERS, SIZES, ranking_votes, score_vote
from course_utils.experiments.readers import ready_items
from course_utils.experiments.readers.blind_items import HUMAN, Item
from course_utils.hall import static_files
from course_utils.models.inference.settings import Settings
from course_utils.models.registry import registry
from course_utils.widgets.lecture import demos
from course_utils.widgets.lecture.presenter import fill
from course_utils.widgets.lecture.recording import record

PICTURES = static_files.PICTURES
PICTURE_WIDTH = 640
WRITER = "smollm2-135m"
FAMILY = "pocket-xl"
N_WORDS = 40
HEADLINE = "From a story"
# Document and paragraph: of the passages that are quoted, and of those whose first sentence the model gets.
QUOTED = [(8, 45), (9, 55), (9, 104), (21, 25), (22, 34), (28, 25)]
# Each seed was picked from five.
CONTINUED = {(8, 23): 322, (8, 103): 1121, (9, 52): 620, (20, 13): 342, (21, 21): 433, (21, 41): 630}
FIRST_SENTENCE = re.compile(r"(?:\S+ ){8,}?\S*[a-z][.;!?](?= )")
LOOK_S = 1.5  # between two things that a lecturer shows
TEXT = (
    "The ferry was late again, so the baker sold his rolls on the pier, one for a joke and two for a song, until the "
    "harbour master bought the rest and the gulls went home offended. In the evening the band played without its drum."
)


# -- texts for the blind test ------------------------------------------------------------------------------------------


def make_items(stories: Path) -> None:
    documents = [each.strip().split("\n\n") for each in stories.read_text("utf-8").split("<|endoftext|>")]
    model, sha256 = load(WRITER, precision="fp32"), registry.weights_sha256(WRITER)
    found = [Item("", HEADLINE, as_shown(documents[i][j]), HUMAN, "", 1000 * i + j) for i, j in QUOTED]
    for (i, j), seed in CONTINUED.items():
        first = FIRST_SENTENCE.match(documents[i][j])[0]
        settings = Settings(max_new_tokens=3 * N_WORDS, temperature=0.8, top_k=40, seed=seed)
        written = model.generate(first, settings)[0].text
        found.append(Item("", HEADLINE, as_shown(f"{first} {written}"), WRITER, sha256, 1000 * i + j))
    order = np.random.default_rng(2019).permutation(len(found))
    items = [dataclasses.asdict(found[i]) | {"id": f"text {place:02d}"} for place, i in enumerate(order, start=1)]
    whole = {"source": f"Standard Ebooks, CC0; {N_WORDS} words after the first sentence", "items": items}
    ready_items.FILE.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")


def as_shown(text: str) -> str:
    """Return a first sentence and as many words after it as all have."""
    text = " ".join(text.split())
    first = FIRST_SENTENCE.match(text)[0]
    rest = text[len(first) :].split()
    assert len(rest) >= N_WORDS, text
    return " ".join([first, *rest[:N_WORDS], "…"])


# -- recordings --------------------------------------------------------------------------------------------------------


def look(seconds: float = LOOK_S) -> None:
    time.sleep(seconds)


def press(panel, key: str, *places: int) -> None:
    """Press prepared prompts one after the other, as a lecturer does."""
    for place in places:
        fill(panel, demos.demo(key).prompts[place])
        finish(panel)
        look()


def finish(panel) -> None:
    if hasattr(panel, "wait"):
        assert panel.wait(300), panel.state
        is_refused = isinstance(panel, AccessRegimes) and panel.state == "failed"  # by a door: that is shown too
        assert panel.state == "done" or is_refused, f"{panel.state}: {panel.message}"


def vote(panel: SideBySide) -> None:
    press(panel, "sizes", 0)
    look(2)
    panel.rank("BDAC")


def judge(panel: BlindTest) -> None:
    """Guess: nobody's judgement is invented."""
    draw = random.Random(2019)
    while panel.item:
        look(1.2)
        panel.answer(draw.choice(("human", "machine")), draw.choice((1, 2, 3)))
    look()


def measure(panel: DetectorBench) -> None:
    panel.compose(n_pairs=240, n_words=40)
    panel.run()
    finish(panel)
    panel.judge(TEXT)
    finish(panel)
    for one_in in (2, 10_000, 100):
        look()
        panel.one_in = one_in


# The panel, which model is at work in it, and what is done with it.
PLANS = {
    "playground": (lambda: Playground(WRITER), WRITER, lambda panel: press(panel, "playground", 0, 1)),
    "sizes": (lambda: SideBySide(blind=True), "the pocket family", vote),
    "token_map": (lambda: TokenMap(model=FAMILY), FAMILY, lambda panel: press(panel, "token_map", 0)),
    "human_or_machine": (lambda: BlindTest(ready_items.items()), "a program that only guesses", judge),
    "detector": (lambda: DetectorBench(FAMILY), FAMILY, measure),
    "timeline": (lambda: ReleaseTimeline(free=True), "", lambda panel: press(panel, "timeline", 0, 1, 2, 3, 4)),
    "access": (lambda: AccessRegimes(WRITER), WRITER, lambda panel: press(panel, "access", 0, 1, 2, 3, 4, 5)),
}


def record_demo(key: str) -> None:
    make, by, do = PLANS[key]
    panel = make()
    with record(panel, by) as recorder:
        do(panel)
    recording = recorder.recording()
    recording.save(demos.RECORDINGS / f"{key}.json")
    print(f"{key}: {recording.seconds} s, {len(recording.text().encode()):,} bytes")
    panel.close()


# -- pictures ----------------------------------------------------------------------------------------------------------


def photograph(page, url: str, key: str) -> None:
    """Show a demo's recording, and keep the panel as the gallery shows it."""
    page.goto(f"{url.rstrip('/')}/voila/render/{key}.ipynb")
    page.locator(".cl-stand .cp").wait_for()
    play = page.get_by_role("button", name="Play the recording")
    if key == "detector":  # its recording is shown already; what it is about comes last
        page.locator(".db-places").wait_for()
    elif play.is_visible():
        play.click()
        page.get_by_role("button", name="Stop the recording").wait_for()
        play.wait_for(timeout=60_000)
    at = {"detector": ".db-judge", "timeline": ".rt-switch", "human_or_machine": ".bt-done"}
    look = at.get(key, demos.demo(key).look)
    page.locator(".cl-stand .cp" if look == ".cp" else f".cl-stand .cp {look}").first.evaluate(
        "node => node.scrollIntoView({ block: 'start' })"
    )
    page.wait_for_timeout(300)
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    small = shot.resize((PICTURE_WIDTH, PICTURE_WIDTH * shot.height // shot.width), Image.Resampling.LANCZOS)
    small.quantize(64).save(PICTURES / f"{key}.png", optimize=True)


def make_pictures(url: str) -> None:
    from playwright.sync_api import sync_playwright

    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        found = shutil.which("chromium") or driver.chromium.executable_path
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1024, "height": 640}, reduced_motion="reduce")
        for each in demos.demos():
            photograph(page, url, each.key)
        browser.close()


def rehearse(file: Path) -> None:
    """Fill a class's file with votes that nobody cast; its session is called rehearsal."""
    draw, sizes = random.Random(2019), {"pocket-small": 1, "pocket-medium": 2, "pocket-large": 3, "pocket-xl": 4}
    for _ in range(30):
        viewer = store.new_viewer()
        ranked = draw.sample(list(sizes), k=len(sizes))
        store.add_votes("rehearsal", SIZES, ranking_votes(ranked, sizes), viewer, file)
        right = [sum(draw.random() < 0.5 for _ in range(6)) for _ in range(2)]
        store.add_votes("rehearsal", READERS, score_vote((right[0], 6), (right[1], 6)), viewer, file)


def main(command: str, *names: str) -> None:
    if command == "items":
        make_items(Path(names[0]))
        return
    if command == "rehearse":
        rehearse(Path(names[0]))
        return
    if command == "pictures":
        make_pictures(names[0])
        return
    for key in names or PLANS:
        record_demo(key)


if __name__ == "__main__":
    main(*sys.argv[1:])
