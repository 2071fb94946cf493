"""Limits of the process are found wherever the system keeps them, and malformed files set no limit."""

import math
import os
import platform

import psutil
import pytest

from course_utils.core import limits

MB = 1_000_000
HUGE = "9223372036854771712"  # how version 1 writes "no limit"
V2 = "cgroup2 cgroup2 rw"


@pytest.fixture(autouse=True)
def _large_machine(monkeypatch):
    """A host with 16 cores and much memory: its own numbers must not hide a limit, nor be taken for one."""
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 16 if logical else 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    memory = psutil.virtual_memory()._replace(available=100_000 * MB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


@pytest.fixture
def system(tmp_path):
    """Lay out a file system: membership, mounts, and the files of groups by their paths."""

    def lay_out(cgroup: str, mounts: list[tuple[str, str, str]], files: dict[str, str]):
        lines = [
            f"{i} 1 0:{i} {top} {point} rw,nosuid shared:{i} - {kind}" for i, (top, point, kind) in enumerate(mounts)
        ]
        files = {"proc/self/cgroup": cgroup, "proc/self/mountinfo": "\n".join(lines), **files}
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tmp_path

    return lay_out


def memory(folder: str, limit: str, used: int = 200, dropped: int = 0, version: int = 2) -> dict[str, str]:
    names = ("memory.max", "memory.current", "inactive_file")
    names = names if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    contents = (f"{limit}\n", f"{used * MB}\n", f"cache 5\n{names[2]} {dropped * MB}\n")
    return {f"{folder}/{name}": content for name, content in zip((*names[:2], "memory.stat"), contents, strict=True)}


UNIT = "sys/fs/cgroup/system.slice/jupyter-ann.service"
PLACES = {
    "container, version 2": ("0::/\n", [("/", "/sys/fs/cgroup", V2)], memory("sys/fs/cgroup", str(1000 * MB))),
    "container without mountinfo": ("0::/\n", [], memory("sys/fs/cgroup", str(1000 * MB))),
    "nothing in proc": ("", [], memory("sys/fs/cgroup", str(1000 * MB))),
    "systemd unit": (
        "0::/system.slice/jupyter-ann.service\n", [("/", "/sys/fs/cgroup", V2)], memory(UNIT, str(1000 * MB)),
    ),
    "slice above the unit": (
        "0::/user.slice/user-1000.slice/session-3.scope\n", [("/", "/sys/fs/cgroup", V2)],
        memory("sys/fs/cgroup/user.slice/user-1000.slice", str(1000 * MB))
        | memory("sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope", "max", 50),
    ),
    "the smaller of two": (
        "0::/a/b\n", [("/", "/sys/fs/cgroup", V2)],
        memory("sys/fs/cgroup/a", str(1000 * MB)) | memory("sys/fs/cgroup/a/b", str(5000 * MB), 100),
    ),
    "container, version 1": (
        "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n",
        [("/docker/abc", "/sys/fs/cgroup/memory", "cgroup cgroup rw,memory")],
        memory("sys/fs/cgroup/memory", str(1000 * MB), version=1),
    ),
    "version 1, the host's path shown, no mountinfo": (
        "4:memory:/docker/abc\n", [], memory("sys/fs/cgroup/memory", str(1000 * MB), version=1),
    ),
    "nested, version 1": (
        "4:memory:/slurm/job_7/step_0\n", [("/", "/sys/fs/cgroup/memory", "cgroup cgroup rw,memory")],
        memory("sys/fs/cgroup/memory/slurm/job_7", str(1000 * MB), version=1)
        | memory("sys/fs/cgroup/memory/slurm/job_7/step_0", HUGE, 10, version=1),
    ),
    "limit above, told by version 1": (
        "4:memory:/docker/abc\n", [("/docker/abc", "/sys/fs/cgroup/memory", "cgroup cgroup rw,memory")],
        memory("sys/fs/cgroup/memory", HUGE, version=1)
        | {"sys/fs/cgroup/memory/memory.stat": f"hierarchical_memory_limit {1000 * MB}\ntotal_inactive_file 0\n"},
    ),
    "hybrid": (
        "4:memory:/user\n0::/user\n",
        [("/", "/sys/fs/cgroup/memory", "cgroup cgroup rw,memory"), ("/", "/sys/fs/cgroup/unified", V2)],
        memory("sys/fs/cgroup/memory/user", str(1000 * MB), version=1),
    ),
    "mounted elsewhere": ("0::/x\n", [("/", "/run/my\\040groups", V2)], memory("run/my groups/x", str(1000 * MB))),
    "outside of the namespace": (
        "0::/../other\n", [("/", "/sys/fs/cgroup", V2)], memory("sys/fs/cgroup", str(1000 * MB)),
    ),
    "soft limit": (
        "0::/\n", [("/", "/sys/fs/cgroup", V2)],
        memory("sys/fs/cgroup", "max") | {"sys/fs/cgroup/memory.high": str(1000 * MB)},
    ),
    "files that can be dropped": (
        "0::/\n", [("/", "/sys/fs/cgroup", V2)], memory("sys/fs/cgroup", str(1000 * MB), 700, 500),
    ),
    "no statistics": (
        "0::/\n", [], {"sys/fs/cgroup/memory.max": str(800 * MB), "sys/fs/cgroup/memory.current": "0"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_800_mb_are_free_in_every_kind_of_place(system, place):
    assert limits.memory_available_mb(system(*PLACES[place]), {}) == pytest.approx(800)


@pytest.mark.parametrize("limit", ["max", "", HUGE, "-1", "nonsense", "\0\0", "1e999", "9" * 400])
@pytest.mark.parametrize("version", [1, 2])
def test_what_is_no_limit_sets_none(system, limit, version):
    folder = "sys/fs/cgroup/memory" if version == 1 else "sys/fs/cgroup"
    files = memory(folder, limit, version=version) | {
        f"{folder}/cpu.max": limit,
        f"{folder}/cpu.cfs_quota_us": limit,
        f"{folder}/cpu.cfs_period_us": "0",
    }
    root = system("4:memory,cpu:/\n0::/\nmalformed\n:::\n", [], files)
    assert limits.memory_available_mb(root, {}) == pytest.approx(100_000)
    assert limits.cpu_limit(root, {}) == 16


def test_a_full_group_has_nothing_left_and_never_less(system):
    root = system("0::/\n", [], memory("sys/fs/cgroup", str(100 * MB), 900))
    assert limits.memory_available_mb(root, {}) == 0


@pytest.mark.parametrize(
    ("environment", "free_mb"),
    [({"MEM_LIMIT": "0"}, 100_000), ({"MEM_LIMIT": ""}, 100_000), ({"MEM_LIMIT": "None"}, 100_000)],
)
def test_an_empty_share_of_memory_is_none(tmp_path, environment, free_mb):
    assert limits.memory_available_mb(tmp_path, environment) == pytest.approx(free_mb)


@pytest.mark.parametrize("told", ["20000000000", "20e9", "20000000000.0"])
def test_the_hubs_share_of_memory_counts(tmp_path, told):
    own_mb = psutil.Process().memory_info().rss / MB
    assert limits.memory_available_mb(tmp_path, {"MEM_LIMIT": told}) == pytest.approx(20_000 - own_mb, abs=200)


BOTH = "sys/fs/cgroup/cpu,cpuacct"
CPU = {
    "version 2": ("0::/\n", [("/", "/sys/fs/cgroup", V2)], {"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
    "two and a half": ("0::/\n", [], {"sys/fs/cgroup/cpu.max": "250000 100000\n"}, 2),
    "half a core": ("0::/\n", [], {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
    "a third of a core and one": ("0::/\n", [], {"sys/fs/cgroup/cpu.max": "400000 300000\n"}, 1),
    "no period": ("0::/\n", [], {"sys/fs/cgroup/cpu.max": "300000"}, 3),
    "systemd unit": (
        "0::/system.slice/jupyter-ann.service\n", [("/", "/sys/fs/cgroup", V2)], {f"{UNIT}/cpu.max": "200000"}, 2,
    ),
    "above": (
        "0::/system.slice/jupyter-ann.service\n", [("/", "/sys/fs/cgroup", V2)],
        {f"{UNIT}/cpu.max": "max 100000", "sys/fs/cgroup/system.slice/cpu.max": "400000 100000"}, 4,
    ),
    "version 1": (
        "1:cpu,cpuacct:/docker/abc\n", [("/docker/abc", "/sys/fs/cgroup/cpu,cpuacct", "cgroup cgroup rw,cpu,cpuacct")],
        {f"{BOTH}/cpu.cfs_quota_us": "150000", f"{BOTH}/cpu.cfs_period_us": "50000"}, 3,
    ),
    "version 1 without a quota": (
        "1:cpu:/\n", [("/", "/sys/fs/cgroup/cpu", "cgroup cgroup rw,cpu")],
        {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 16,
    ),
}  # fmt: skip


@pytest.mark.parametrize("place", CPU)
def test_the_quota_of_processor_time_is_found(system, place):
    *laid_out, expected = CPU[place]
    root = system(*laid_out)
    assert limits.cpu_limit(root, {}) == expected
    assert limits.thread_limit(root, {}) == min(expected, 8), "hyper-threads do not count"


@pytest.mark.parametrize(
    ("told", "expected"), [("2", 2), ("2.5", 2), ("0.5", 1), ("0", 16), ("", 16), ("None", 16), ("inf", 16), ("99", 16)]
)
def test_the_hubs_share_of_cores_counts(tmp_path, told, expected):
    assert limits.cpu_limit(tmp_path, {"CPU_LIMIT": told}) == expected


def test_the_affinity_mask_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 7, 9})
    assert limits.cpu_limit(tmp_path, {}) == 3 and limits.thread_limit(tmp_path, {}) == 3


def test_a_system_without_affinity_masks_tells_its_cores(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    assert limits.cpu_limit(tmp_path, {}) == getattr(os, "process_cpu_count", os.cpu_count)()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3,2"}, 3),
        ({"OMP_NUM_THREADS": " 4 "}, 4),
        ({"MKL_NUM_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "6", "MKL_NUM_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "1000"}, 8),
        ({"OMP_NUM_THREADS": ""}, 8),
        ({"OMP_NUM_THREADS": "many"}, 8),
        ({"OMP_NUM_THREADS": "0"}, 8),
        ({"OMP_NUM_THREADS": "4", "CPU_LIMIT": "2"}, 2),
    ],
)
def test_threads_that_the_environment_names_count(tmp_path, environment, expected):
    assert limits.thread_limit(tmp_path, environment) == expected


# -- the processor -----------------------------------------------------------------------------------------------------


def named(tmp_path, text: str) -> str:
    (tmp_path / "proc").mkdir(exist_ok=True)
    (tmp_path / "proc/cpuinfo").write_text(text)
    limits.processor.cache_clear()
    return limits.processor(tmp_path)


INTEL = "processor\t: {}\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R)\nflags\t\t: {}\ncpu MHz\t\t: {}\n\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd {}\nCPU implementer\t: 0x41\nCPU part\t: {}\n\n"


def test_processors_with_other_instructions_have_other_names(tmp_path):
    texts = [
        INTEL.format(0, "fpu avx2 avx512_vnni", 2000),
        INTEL.format(0, "fpu avx2", 2000),
        INTEL.format(0, "fpu avx2", 2000).replace("Xeon", "Core"),
        ARM.format("i8mm", "0xd40"),
        ARM.format("", "0xd40"),
        ARM.format("", "0xd0c"),
    ]
    names = [named(tmp_path, text) for text in texts]
    assert len(set(names)) == len(texts)
    assert "Intel(R) Xeon(R)" in names[0] and "implementer 0x41, part 0xd40" in names[3]


def test_the_name_does_not_depend_on_speed_order_or_number_of_cores(tmp_path):
    one = named(tmp_path, INTEL.format(0, "fpu avx2", 2000))
    assert one == named(tmp_path, "".join(INTEL.format(i, "avx2 fpu", 1000 + i) for i in range(9)))


def test_a_system_without_cpuinfo_has_a_name_too(tmp_path):
    limits.processor.cache_clear()
    assert platform.machine() in limits.processor(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["max", "-1", "", None, "nan", "inf", "0", "1 2", "0x10"])
def test_what_is_no_positive_number_is_none(text):
    assert limits.positive_number(text) is None


@pytest.mark.parametrize("number", [0.5, 1, 2.5, 1e18])
def test_a_positive_number_is_itself(number):
    assert math.isclose(limits.positive_number(f" {number}\n"), number)
