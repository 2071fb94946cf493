"""Ready items for a blind test: twelve short texts, six from old books and six that a model continued.

The books are in the public domain in the United States, in the editions of Standard Ebooks (CC0), and none of the
passages was trained on by the pocket family. Each text begins with the first sentence of such a passage; a person or
the model goes on from there, for as many words. Of five texts of the model for each opening one was picked, so that
none is offensive: the picked are better than the model. ``tests/record_demos.py items`` made the file, and tells how.
"""

import json

from course_utils.core.paths import data_file
from course_utils.experiments.readers.blind_items import Item

FILE = data_file(__name__, "ready_items.json")


def items() -> list[Item]:
    """Return the texts, half human, in an order that says nothing.

    Examples
    --------
    >>> len(items()), sum(item.source == "human" for item in items())
    (12, 6)
    """
    return [Item(**item) for item in json.loads(FILE.read_text("utf-8"))["items"]]
