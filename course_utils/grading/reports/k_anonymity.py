"""k-anonymity of counts: groups are merged until none has fewer than five people."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

MIN_GROUP_SIZE = (
    5  # people behind any number that is shown, and behind what is left of a total when others are taken away
)


@dataclasses.dataclass(frozen=True)
class Group:
    """People who are counted together.

    Parameters
    ----------
    names : tuple of str
        What was merged, in order.
    people : frozenset of str
        Never shown.
    n : int
        What is shown: the people, or what belongs to them.
    """

    names: tuple[str, ...]
    people: frozenset[str] = dataclasses.field(repr=False)
    n: int

    @property
    def name(self) -> str:
        """Return the names as a range."""
        return self.names[0] if len(self.names) == 1 else f"{self.names[0]} to {self.names[-1]}"


def merge_neighbours(groups: Sequence[tuple[str, Collection[str]]], fewest: int = MIN_GROUP_SIZE) -> list[Group]:
    """Merge steps of a scale with their neighbours until each group is large enough.

    Parameters
    ----------
    groups : sequence of (str, collection of str)
        The steps in order, each with its people; nobody stands in two.
    fewest : int

    Returns
    -------
    list of Group
        As many as can be. Empty where there are fewer people in all.

    Notes
    -----
    An empty step is merged too: that nobody stands there would be told of everybody. Nothing is left out, so nothing
    can be found by taking the groups from the total.

    Examples
    --------
    >>> steps = [("low", "ab"), ("middle", "cdefg"), ("high", "hijklm"), ("top", "n")]
    >>> [(group.name, group.n) for group in merge_neighbours(steps)]
    [('low to middle', 7), ('high to top', 7)]
    """
    done: list[Group] = []
    names: tuple[str, ...] = ()
    people: frozenset[str] = frozenset()
    for name, those in groups:
        names, people = (*names, name), people | frozenset(those)
        if len(people) >= fewest:
            done, names, people = [*done, Group(names, people, len(people))], (), frozenset()
    if names and done:
        names, people = done[-1].names + names, done[-1].people | people
        done[-1] = Group(names, people, len(people))
    return done


def merge_smallest(
    groups: Mapping[str, Sequence[str]], rest: str, adds_up: bool = True, fewest: int = MIN_GROUP_SIZE
) -> list[Group]:
    """Merge the smallest groups into a rest that is large enough too.

    Parameters
    ----------
    groups : mapping of str to sequence of str
        By name, the person behind each thing that is counted; somebody may stand there several times.
    rest : str
        What to call those that were merged. A group of this name always belongs to them.
    adds_up : bool
        Whether the groups add up to a total that is told: then what is left must be large enough too. Otherwise a rest
        that is too small is left out.
    fewest : int

    Returns
    -------
    list of Group
        The largest first, the rest last. Empty where there are fewer people in all.

    Examples
    --------
    >>> chosen = {"staged": "abcdefgh", "full": "ijklmn", "closed": "op"}
    >>> [(group.name, group.n) for group in merge_smallest(chosen, "another")]
    [('staged', 8), ('another', 8)]
    """
    order = sorted(groups, key=lambda name: (-len(set(groups[name])), name))
    kept = [name for name in order if len(set(groups[name])) >= fewest and name != rest]
    merged = [name for name in order if name not in kept]
    while adds_up and kept and 0 < len({member for name in merged for member in groups[name]}) < fewest:
        merged.append(kept.pop())
    merged_groups = [Group((name,), frozenset(groups[name]), len(groups[name])) for name in kept]
    left = [member for name in merged for member in groups[name]]
    return merged_groups + ([Group((rest,), frozenset(left), len(left))] if len(set(left)) >= fewest else [])


def out_of(n: int, total: int, fewest: int = MIN_GROUP_SIZE) -> tuple[int, str]:
    """Return a number of people out of a total, and in words; where nearly all belong to it, not how many do not.

    Examples
    --------
    >>> out_of(7, 20), out_of(20, 20), out_of(18, 20)
    ((7, '7 of 20'), (16, '16 or more of 20'), (16, '16 or more of 20'))
    """
    if total - n >= fewest:
        return n, f"{n} of {total}"
    enough = max(fewest, total - fewest + 1)
    return enough, f"{enough} or more of {total}"
