"""System call filter of the sandbox: which requests to the kernel students' code may not make.

A sandbox's code needs files, memory, threads and pipes. What it never needs is refused, for three reasons:

* memory that belongs to no process (``memfd_create``, System V shared memory, message queues, large socket buffers):
  a sum over the memory of processes does not show it;
* what a user has once for all programs: leases on files, watches of folders;
* large parts of the kernel in which faults were found again and again (``io_uring``, ``bpf``, ``keyctl``, mounts,
  namespaces, unusual kinds of sockets).

The filter is a program of the kernel's own small language (classic BPF, seccomp(2)). bubblewrap hands it over.
"""

import platform
import struct
import sys

# Numbers on x86-64 and on 64-bit ARM; None where the call does not exist there.
REFUSED: dict[str, tuple[int | None, int | None]] = {
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "shmctl": (31, 195), "shmdt": (67, 197), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191),
    "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187),
    "mq_open": (240, 180), "mq_unlink": (241, 181), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "process_madvise": (440, 440), "kcmp": (312, 272), "pidfd_getfd": (438, 438),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443), "syslog": (103, 116),
    "personality": (135, 92), "vhangup": (153, 58), "iopl": (172, None), "ioperm": (173, None),
    "modify_ldt": (154, None), "uselib": (134, None), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "adjtimex": (159, 171), "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162),
    "lookup_dcookie": (212, 18), "move_pages": (279, 239), "migrate_pages": (256, 238), "inotify_init": (253, None),
    "inotify_init1": (294, 26),
}  # fmt: skip
SOCKET, SETSOCKOPT, CLONE, CLONE3, FCNTL = (41, 198), (54, 208), (56, 220), (435, 435), (72, 25)
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # the column above, the kernel's name of it
FAMILIES = (1, 2, 10)  # of sockets: between programs here, IPv4, IPv6
OPTIONS = (7, 8, 32, 33)  # of sockets: the size of the buffers
SOL_SOCKET = 1
# Commands of fcntl: a lease, a watch on a folder, the size of a pipe's buffer. A lease on a file of Python's lets every
# other program of this machine wait up to 45 seconds when it opens that file, and its owner may take one.
COMMANDS = (1024, 1026, 1031)
NAMESPACES = 0x7E020080  # clone's flags that ask for any
OTHER_NUMBERS = 0x40000000  # from here on: another set of numbers for the same calls (x32)
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
ALLOW, REFUSE = 0x7FFF0000, 0x00050000  # and the error's number
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # instructions
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # places in what the kernel shows of a call (struct seccomp_data)


def system_call_filter(machine: str = "") -> bytes:
    """Return the filter as bytes that the kernel runs; none for a system whose numbers are not known here.

    Parameters
    ----------
    machine : str, optional
        As `platform.machine` names it; this one when left out.

    Examples
    --------
    >>> len(system_call_filter("x86_64")) % 8, system_call_filter("riscv64")
    (0, b'')
    """
    found = MACHINES.get(machine or platform.machine())
    if found is None or not sys.platform.startswith("linux"):
        return b""
    column, architecture = found
    numbers = sorted({number for each in REFUSED.values() if (number := each[column]) is not None})
    parts = [_load(ARCHITECTURE), _if(EQUAL, architecture, 1, 0), _refused(ENOSYS), _load(NUMBER)]
    parts += [_if(AT_LEAST, OTHER_NUMBERS, 0, 1), _refused(ENOSYS)]
    parts += [_if(EQUAL, CLONE3[column], 0, 1), _refused(ENOSYS)]  # its flags cannot be seen; C libraries take clone
    for number in numbers:
        parts += [_if(EQUAL, number, 0, 1), _refused(EPERM)]
    parts += _with_arguments(CLONE[column], [_load(ARGUMENTS), _if(ANY_BIT, NAMESPACES, 0, 1), _refused(EPERM)])
    families = [_if(EQUAL, family, len(FAMILIES) - place, 0) for place, family in enumerate(FAMILIES)]
    parts += _with_arguments(SOCKET[column], [_load(ARGUMENTS), *families, _refused(EAFNOSUPPORT)])
    commands = [_if(EQUAL, command, len(COMMANDS) - 1 - place, 0) for place, command in enumerate(COMMANDS[:-1])]
    commands += [_if(EQUAL, COMMANDS[-1], 0, 1), _refused(EPERM)]
    parts += _with_arguments(FCNTL[column], [_load(ARGUMENTS + 8), *commands])
    options = [_if(EQUAL, option, len(OPTIONS) - 1 - place, 0) for place, option in enumerate(OPTIONS[:-1])]
    options += [_if(EQUAL, OPTIONS[-1], 0, 1), _refused(EPERM)]
    level = [_load(ARGUMENTS + 8), _if(EQUAL, SOL_SOCKET, 0, len(options) + 1), _load(ARGUMENTS + 16)]
    parts += _with_arguments(SETSOCKOPT[column], [*level, *options])
    return b"".join([*parts, _return(ALLOW)])


def _with_arguments(number: int, parts: list[bytes]) -> list[bytes]:
    """Return instructions that look at the arguments of one call, and then let it pass."""
    return [_if(EQUAL, number, 0, len(parts) + 1), *parts, _return(ALLOW)]


def _load(place: int) -> bytes:
    return _instruction(LOAD, 0, 0, place)


def _if(test: int, value: int, then: int, otherwise: int) -> bytes:
    """Return a jump over so many instructions."""
    return _instruction(test, then, otherwise, value)


def _refused(error: int) -> bytes:
    return _return(REFUSE | error)


def _return(what: int) -> bytes:
    return _instruction(RETURN, 0, 0, what)


def _instruction(code: int, then: int, otherwise: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, then, otherwise, value)
