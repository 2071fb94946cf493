"""Contents of a submission: every file of its folder and of the archives in it, recognised by its bytes.

Learning platforms, browsers, cloud drives and students rename files. So a file's name decides nothing here that its
bytes can decide: which one is a notebook, and which one is a ledger.
"""

import dataclasses
import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from course_utils.evidence.ledger.record import Chain, looks_like_ledger, read_ledger_bytes
from course_utils.grading.course.course import MAX_FILE_KB, MAX_FOLDER_KB
from course_utils.grading.submissions.archives import Archive, Member
from course_utils.grading.submissions.arrival_notes import Arrival
from course_utils.grading.submissions.find import MAX_FILES, SubmittedFile, files_of, read_plain
from course_utils.grading.submissions.ignored_files import is_clutter
from course_utils.grading.submissions.read_notebook import GZIP, Unreadable, looks_like_a_notebook, read_cells
from course_utils.grading.submissions.repair import name_of, plain_text

NOTEBOOK, LEDGER_FILE, ARCHIVE, OTHER = "notebook", "ledger", "archive", "other"
OURS = ("timestamp.txt", "submission_secret.txt")  # nbgrader and `collect` write them
GIVEN_OUT = ("rubric.yaml", "rubric.html")
SNIFFED_BYTES = 65_536
MAX_CACHED_BYTES = 5_000_000
MAX_ARCHIVES_IN_ARCHIVES = 2
ZIP_START = (b"PK\x03\x04", b"PK\x05\x06")
OFFICE = re.compile(r"(?i)\.(?:docx|xlsx|pptx|odt|ods|odp|epub|jar|whl|npz|pages|numbers|key)$")
LEDGER_NAME = re.compile(r"(?i)evidence[^/]*\.json")
SET_ASIDE = re.compile(r"(?i)\.(?:cut-off|before)-")  # what the ledger itself laid aside
VERSION_1, VERSION_2 = "", "work-2:"


@dataclasses.dataclass(eq=False)
class Item:
    """A file of a submission, on the disk or in an archive.

    Parameters
    ----------
    name : str
        Its path below the submission's folder; that of a file in an archive begins with the archive's.
    n_bytes : int
    why_not : str
        Why it is not read; "" where it may be.
    source : SubmittedFile or Member
    """

    name: str
    n_bytes: int
    why_not: str
    source: SubmittedFile | Member = dataclasses.field(repr=False)
    kind: str = OTHER
    _content: bytes | None = dataclasses.field(default=None, repr=False)

    @property
    def is_clutter(self) -> bool:
        """Return whether it is no part of the work."""
        return is_clutter(self.name)

    @property
    def base(self) -> str:
        """Return its name without folders, with accents in one form."""
        return unicodedata.normalize("NFC", self.name.rpartition("/")[2])

    def read(self) -> bytes:
        """Return its bytes; none, and `why_not` says why, where it cannot be read."""
        if self.why_not:
            return b""
        if self._content is not None:
            return self._content
        try:
            if isinstance(self.source, Member):
                content = self.source.read(MAX_FILE_KB * 1000)
            else:
                content = read_plain(self.source.path)
        except OSError as problem:
            self.why_not = problem.strerror or "it cannot be read"
            return b""
        if len(content) <= MAX_CACHED_BYTES or isinstance(self.source, Member):
            self._content = content
        return content

    def beginning(self) -> bytes:
        """Return its first bytes."""
        if self._content is None and isinstance(self.source, SubmittedFile) and not self.why_not:
            try:
                return read_plain(self.source.path, SNIFFED_BYTES)
            except OSError:
                return self.read()
        return self.read()[:SNIFFED_BYTES]


def items_of(folder: Path) -> list[Item]:
    """Return every file below a folder and in the zip archives there, each with its kind.

    Notes
    -----
    The unpacked files of one submission may have as many bytes as its folder may have. An archive that cannot be read
    is an item that says why.
    """
    items: list[Item] = []
    budget = _Budget(MAX_FOLDER_KB * 1000)
    for found in files_of(folder):
        item = Item(found.name, found.n_bytes, found.why_not, found)
        items += _with_members(item, budget, 0)
    return items


@dataclasses.dataclass
class _Budget:
    n_bytes: int
    n_files: int = MAX_FILES


def _with_members(item: Item, budget: _Budget, depth: int) -> Iterator[Item]:
    """Yield a file, and what it holds if it is an archive."""
    item.kind = _kind(item)
    yield item
    if item.kind != ARCHIVE or item.is_clutter:
        return
    if depth > MAX_ARCHIVES_IN_ARCHIVES:
        item.why_not = "an archive lies in an archive in an archive: unpack it by hand"
        return
    try:
        source = item.read() if isinstance(item.source, Member) else item.source.path
        archive = Archive(source, budget.n_bytes)
    except OSError as problem:
        item.why_not = problem.strerror or "the archive cannot be read"
        return
    with archive:
        for member in archive.members:
            if is_clutter(member.name):
                continue
            if budget.n_files <= 0:
                item.why_not = f"of the {len(archive.members):,} files in it the first {MAX_FILES} are looked into"
                return
            budget.n_files -= 1
            inner = Item(f"{item.name}/{member.name}", member.n_bytes, member.why_not, member)
            budget.n_bytes -= len(inner.read())  # now, while the archive is open
            yield from _with_members(inner, budget, depth + 1)


def _kind(item: Item) -> str:
    """Return what a file is, by what it holds; by its name only where its bytes cannot say."""
    name = item.base.lower()
    beginning = item.beginning()
    if beginning.startswith(ZIP_START):
        return OTHER if OFFICE.search(name) else ARCHIVE
    if looks_like_a_notebook(beginning):
        return NOTEBOOK
    is_named_ledger = bool(LEDGER_NAME.search(item.base))
    if is_named_ledger and not item.why_not and b'"cell_type"' not in beginning:
        return LEDGER_FILE
    if ".ipynb" in name or (beginning.startswith(GZIP) and name.endswith((".json", ".gz")) and "json" in name):
        return NOTEBOOK
    if _may_be_a_ledger(beginning) and looks_like_ledger(item.read()):
        return LEDGER_FILE
    if name.endswith(".json") and b'"cells"' in beginning:
        return NOTEBOOK
    return OTHER


def _may_be_a_ledger(beginning: bytes) -> bool:
    """Tell whether it is worth reading all of a file."""
    return b'"finding"' in beginning.replace(b"\x00", b"") or b'"id": "E-' in beginning.replace(b"\x00", b"")


# -- ledgers -----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Ledgers:
    """What the ledgers of a submission hold together.

    Parameters
    ----------
    content : bytes
        One ledger as it came; of several, all records that hold together, one a line. Empty where there is none.
    files : list of Item
        What was read for it.
    notes : list of str
        What was done, in sentences.
    doubts : list of str
        What is wrong with one of several; of a single one the examination says it.
    """

    content: bytes
    files: list[Item]
    notes: list[str]
    doubts: list[str]


def read_ledgers(items: list[Item]) -> Ledgers:
    """Return all records of all ledgers among the files of a submission."""
    ledgers = [item for item in items if item.kind == LEDGER_FILE and not item.why_not]
    ledgers = _first_kind(ledgers, lambda item: not item.is_clutter and not SET_ASIDE.search(item.name))
    by_content = {item.read(): item for item in reversed(ledgers) if item.read()}
    if not by_content:
        return Ledgers(b"", [], [], [])
    if len(by_content) == 1:
        ((content, item),) = by_content.items()
        notes = [] if item.base == "evidence.jsonl" else [f"The ledger was called {item.base[:100]}."]
        notes += [f"The ledger: {note}" for note in read_ledger_bytes(content).notes]
        return Ledgers(content, ledgers, notes, _unread(items))
    chains = [(item, read_ledger_bytes(content)) for content, item in sorted(by_content.items(), key=_by_name)]
    joined = b"".join(record.line() for _, chain in chains for record in chain.records)
    names = ", ".join(item.base[:60] for item, _ in chains[:5])
    n_records = len(read_ledger_bytes(joined).records)
    notes = [f"Of {len(chains)} ledgers ({names}) all records that hold together were taken: {n_records}."]
    return Ledgers(
        joined, ledgers, notes, [*(_fault(item, chain) for item, chain in chains if chain.faults), *_unread(items)]
    )


def _unread(items: list[Item]) -> list[str]:
    """Say which files may hold more records, beside a ledger that was read."""
    unread = [item for item in items if item.why_not and LEDGER_NAME.search(item.base) and not item.is_clutter]
    return [f"{item.base[:100]} may hold more records, and was not read: {item.why_not}." for item in unread]


def _by_name(entry: tuple[bytes, Item]) -> tuple[bool, str]:
    return entry[1].base != "evidence.jsonl", entry[1].name


def _fault(item: Item, chain: Chain) -> str:
    line, what = chain.faults[0]
    return f"{item.base[:100]}: line {line} {what}. {len(chain.records)} records before it were taken."


def _first_kind(items: list[Item], is_preferred: Callable[[Item], bool]) -> list[Item]:
    """Return the items that are preferred, or all of them where none is."""
    return [item for item in items if is_preferred(item)] or items


# -- identity ----------------------------------------------------------------------------------------------------------


def notebooks_of(items: list[Item]) -> list[Item]:
    """Return the notebooks that count: backups and checkpoints only where there is no other."""
    return _first_kind([item for item in items if item.kind == NOTEBOOK], lambda item: not item.is_clutter)


def fingerprint(folder: Path) -> str:
    """Return a hash of the work that was handed in: of what a person wrote or measured, and of nothing else.

    Parameters
    ----------
    folder : Path
        That of the submission.

    Returns
    -------
    str
        The same for a notebook that was run or saved again without a change in its texts, for files under other names,
        for a ledger with other line ends, and whatever `clutter` or time stamp lies beside.
    """
    items = items_of(folder)
    counted = {id(item) for item in notebooks_of(items)}
    parts = set()
    for item in items:
        if (item.is_clutter and id(item) not in counted) or item.name in (*OURS, *GIVEN_OUT):
            continue
        if item.kind == ARCHIVE and not item.why_not:
            continue
        parts.add(_identity(item))
    return VERSION_2 + hashlib.sha256(b"\n".join(sorted(parts))).hexdigest()


def is_same_work(folder: Path, remembered: str) -> bool:
    """Tell whether a folder holds the work whose fingerprint was remembered, also by an earlier course version."""
    if remembered.startswith(VERSION_2):
        try:
            return fingerprint(folder) == remembered
        except OSError:
            raise
        except Exception:  # what was remembered was read to its end: these are other files
            return False
    return fingerprint_of_bytes(folder) == remembered


def arrival_fingerprint(folder: Path, arrival: Arrival = Arrival()) -> str:  # noqa: B008 (it cannot be changed)
    """Return a hash of all that a report depends on: names and bytes of all files but clutter, and how they arrived."""
    notes = (*arrival.why, *(" ".join(map(str, fields)) for fields in arrival.left))
    return _hash_of_files([file for file in files_of(folder) if not is_clutter(file.name)], notes)


def _identity(item: Item) -> bytes:
    """Return what a file says, in a form that is the same however it was saved."""
    content = item.read()
    if item.why_not:
        return hashlib.sha256(f"{item.name}\n{item.why_not}".encode("utf-8", "replace")).digest().hex().encode()
    if item.kind == NOTEBOOK:
        try:
            cells = read_cells(content).cells
        except Unreadable:
            pass
        else:
            texts = [(cell.cell_type, name_of(cell), plain_text(cell.source)) for cell in cells]
            content = repr([text for text in texts if text[1] or text[2]]).encode("utf-8", "replace")
    elif item.kind == LEDGER_FILE:
        chain = read_ledger_bytes(content)
        content = content if chain.faults else "\n".join(sorted(chain.hashes)).encode()
    return hashlib.sha256(item.kind.encode() + b"\0" + content).hexdigest().encode()


def fingerprint_of_bytes(folder: Path) -> str:
    """Return a hash of the files as they are, of a submission that cannot be read; earlier versions wrote this one."""
    return _hash_of_files(files_of(folder))


def _hash_of_files(files: list[SubmittedFile], notes: tuple[str, ...] = ()) -> str:
    digest = hashlib.sha256("".join(f"{note}\n" for note in notes).encode("utf-8", "replace"))
    for file in files:
        content = b"" if file.why_not else _bytes(file)
        name = file.name.encode("utf-8", "surrogateescape")
        for part in (name, file.why_not.encode(), str(len(content)).encode(), content):
            digest.update(part + b"\0")
    return digest.hexdigest()


def _bytes(file: SubmittedFile) -> bytes:
    try:
        return read_plain(file.path)
    except OSError:
        return b""
