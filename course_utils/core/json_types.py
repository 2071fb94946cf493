"""JSON types: what a parsed file or message may hold."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

# What `json.dumps` can write. Functions that only read it take this type.
Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"

# An object that was read from JSON. Its values are not known before the program has checked them.
JsonObject: TypeAlias = dict[str, Any]
