"""Laws of the bibliography: every fact refers to a known source, every source is used, the page shows the list."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from course_utils.data import bibliography
from course_utils.errors import SettingsError

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "course_utils"
# Settings, texts of panels and recordings state no fact about the readings or the events of 2019.
WITHOUT_FACTS = ("access_regimes.json", "bibliography.json", "demos.json", "prompt_gallery.json", "ready_items.json")
FACTS = sorted(
    file
    for file in PACKAGE.rglob("*.json")
    if file.name not in WITHOUT_FACTS and not {"recordings", "bundles"} & set(file.parts)
)
PAGES = sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "docs").glob("*.md"), *(ROOT / "models").glob("*.md")])
NOTEBOOKS = [page for page in PAGES if page.suffix == ".ipynb"]
LINK = re.compile(r"sources\.md#([\w-]+)")
QUOTATION = re.compile(r"“[^”]*(?:\s[^”]*){4}”")  # at least five words between curly quotation marks
EVENT = re.compile(
    r"\b(?:\d{1,2} )?(?:January|February|March|April|May|June|July|August|September|October|November) 20(?:19|20)\b"
)
FIGURE = re.compile(r"\d(?:[\d.,]*\d)? ?(?:%|million|billion|GB|dollars|tonnes|hours)|\$\d")
NAMES = re.compile(r"OpenAI|Zhang|Zellers|Grover|Leahy|GPT-2|GPT-3|Reddit|WebText|survey|BLOOM|Köbis")


def objects(value: object, inherited: tuple[str, ...] = ()) -> Iterator[tuple[dict, tuple[str, ...]]]:
    """Yield every object of a JSON file with its sources: its own, or those of the object that holds it."""
    if isinstance(value, dict):
        keys = tuple(key for key in value if key in bibliography.ids())  # the file of readings is keyed by source
        own = (*value.get("source", ()), *([value["told_by"]] if "told_by" in value else []))
        yield value, own or inherited
        for key, child in value.items():
            yield from objects(child, (key,) if key in keys else own or inherited)
    elif isinstance(value, list):
        for child in value:
            yield from objects(child, inherited)


def test_each_entry_is_csl_json():
    entries = json.loads(bibliography.FILE.read_text("utf-8"))
    assert len({entry["id"] for entry in entries}) == len(entries)
    for entry in entries:
        assert re.fullmatch(r"[a-z0-9-]+", entry["id"])
        assert {"id", "type", "title", "note", "custom"} <= set(entry) and entry["custom"]["words"] and entry["note"]
        assert entry.get("URL", "https://").startswith("https://")
        for author in entry.get("author", []):
            assert "family" in author or "literal" in author
        for parts in entry.get("issued", {}).get("date-parts", []):
            assert 1 <= len(parts) <= 3 and all(isinstance(part, int) for part in parts)


@pytest.mark.parametrize("file", FACTS, ids=lambda file: file.name)
def test_a_data_file_names_known_sources_and_states_no_figure_without_one(file):
    for found, sources in objects(json.loads(file.read_text("utf-8"))):
        assert set(sources) <= set(bibliography.ids()), found
        told = [value for key, value in found.items() if key != "source"]
        figures = [
            value
            for value in told
            if (isinstance(value, (int, float)) and not isinstance(value, bool))
            or (isinstance(value, str) and re.search(r"\d", value))
        ]
        assert sources or not figures, (file.name, found)


def test_every_source_is_used():
    used = set()
    for file in FACTS:
        for _, sources in objects(json.loads(file.read_text("utf-8"))):
            used.update(sources)
    for page in PAGES:
        used.update(LINK.findall(page.read_text("utf-8")))
    assert set(bibliography.ids()) - used == set()


def test_an_unknown_source_is_refused_with_the_known_ones():
    with pytest.raises(SettingsError, match="zhang2019"):
        bibliography.in_words(["zhang2019", "nobody1900"])


def test_the_page_of_sources_is_made_from_the_list():
    assert (ROOT / bibliography.PAGE).read_text("utf-8") == bibliography.as_markdown()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_sources_lead_to_known_entries(page):
    assert set(LINK.findall(page.read_text("utf-8"))) <= set(bibliography.ids())


@pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda page: page.name)
def test_a_cell_with_a_quotation_or_a_figure_of_others_names_its_source(page):
    for number, cell in enumerate(nbformat.read(page, 4).cells, start=1):
        if cell.cell_type != "markdown" or LINK.search(cell.source):
            continue
        stated = [line for line in re.split(r"(?<=[.?!:])\s+", cell.source) if NAMES.search(line)]
        facts = [line for line in stated if FIGURE.search(line) or EVENT.search(line)]
        assert not facts and not QUOTATION.search(cell.source), f"cell {number} of {page.name}: {cell.source}"
