"""What a person does with each kind of panel, in a few steps; run in a notebook's kernel, after its last cell."""

import time


def write(panel) -> None:
    panel.generate()
    finish(panel)
    assert panel.samples[0]["text"]


def train(panel) -> None:
    panel.start()
    while panel.state in ("preparing", "training") and len(panel.curve) < 2:
        time.sleep(0.05)
    panel.stop()
    assert panel.wait(60) and len(panel.curve) >= 2, f"the lab is {panel.state!r}: {panel.message}"


def predict(panel) -> None:
    if panel.measured is None:
        panel.guess(panel.axis.get("low", 2))
        assert panel.guessed is not None


def sort(panel) -> None:
    panel.put(panel.cards[0]["name"], next(iter(panel.boxes)))
    assert panel.compare()


def read(panel) -> None:
    panel.texts = [text or "The council met on Tuesday to discuss the old bridge." for text in panel.texts]
    panel.read()
    finish(panel)
    assert len(panel.tokens)


def place_a_text(panel) -> None:
    panel.compose(n_pairs=20, n_words=20)
    panel.run()
    finish(panel)
    panel.judge("The council met on Tuesday to discuss the old bridge over the river. " * 4)
    finish(panel)
    assert panel.judgement


def play(panel) -> None:
    if panel.can_make:
        panel.start()
        finish(panel, "reading")
    while panel.n_left:
        panel.answer("human")
    assert panel.result is not None


def probe(panel) -> None:
    panel.accept()
    panel.compare()
    finish(panel)
    assert panel.result is not None


def decide(panel) -> None:
    panel.choose("Feb 2019")
    panel.decide("wait", "There is time.")
    panel.open_all()
    assert len(panel.decisions) == 1


def knock(panel) -> None:
    for door in ("open", "demo"):
        panel.ask(door, "The letter said")
        finish(panel)
    assert len(panel.tried)


def answer(panel) -> None:
    panel.answer(1, 1)
    assert panel.verdicts["1"]["because"]


def look(panel) -> None:
    panel.refresh()
    assert not panel.message


def see_the_class(panel) -> None:
    panel.refresh()
    assert panel.pictures or "No class is open here" in panel.message


def calibrate(panel) -> None:
    for criterion in panel.desk.rubric.criteria:
        panel.mark_level(criterion.id, 2)
    assert panel.compare()


def assess(panel) -> None:
    panel.mark_level("thesis", 1)
    assert panel.steps["thesis"]


USES = {
    "Playground": write,
    "SideBySide": write,
    "TrainingLab": train,
    "CardSort": sort,
    "TokenMap": read,
    "DetectorBench": place_a_text,
    "BlindTest": play,
    "BiasProbe": probe,
    "ReleaseTimeline": decide,
    "AccessRegimes": knock,
    "Predict": predict,
    "SelfCheck": answer,
    "EvidenceBoard": look,
    "Calibration": calibrate,
    "SelfAssessment": assess,
    "ClassResults": see_the_class,
}


def finish(panel, state: str = "done") -> None:
    """Wait until a panel is as it should be, or say how it is."""
    assert panel.wait(120), f"the panel works on and on: {panel.message}"
    now = getattr(panel, "phase", panel.state) if state != "done" else panel.state
    assert now == state, f"the panel is {now!r}: {panel.message}"


def is_panel(thing) -> bool:
    """Tell a panel by its name: the rooms of other panels are not imported for it."""
    return str(type(thing).__module__).startswith("course_utils.widgets.") and type(thing).__name__ in USES


def use(panel) -> None:
    """Use a panel as a person would; a page that opens with a recording gives its panel back at the first wish."""
    if getattr(panel, "playback", None) is not None:
        panel.playback.end()
        panel.playback = None
    USES[type(panel).__name__](panel)
