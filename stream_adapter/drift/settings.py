"""What can be set about drift: the section `drift` of the configuration."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from stream_adapter.drift.guard import Mode, Scope

_ErrorProbability = Annotated[float, Field(ge=1e-12, lt=1.0)]
_Count = Annotated[int, Field(ge=1, le=10**9)]


class DriftSettings(BaseModel):
    """Settings of the monitor.

    docs/configuration.md says what each is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tolerance: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01
    alpha: _ErrorProbability = 0.01
    min_labels: _Count = 50
    reference_events: Annotated[int, Field(ge=32, le=100_000)] = 512
    sample_every: _Count = 4
    far_cosine: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.7
    adwin_delta: _ErrorProbability = 1e-5
    mode: Mode = "act"
    scope: Scope = "classes"
    release_labels: _Count = 500
    protection_steps: Annotated[int, Field(ge=0, le=4)] = 2
    groups: dict[str, tuple[str, ...]] = {}
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    status_every_s: Annotated[float, Field(gt=0.0, le=1e9)] = 60.0

    def groups_of(self, class_names: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
        """Group names, and the group of each class, int (C,).

        Raises:
            ValueError: a group names an unknown class, or two groups the same one.
        """
        if not self.groups:  # a thousand classes may come one by one, and each asks
            return list(class_names), np.arange(len(class_names))
        group_of: dict[str, str] = {}
        for group, members in self.groups.items():
            for name in members:
                if name not in class_names:
                    raise ValueError(f"group {group!r} names {name!r}, which is not a class of the vocabulary")
                if name in group_of:
                    raise ValueError(f"class {name!r} is in two groups, {group_of[name]!r} and {group!r}")
                group_of[name] = group
        names = list(dict.fromkeys(group_of.get(name, name) for name in class_names))
        index = {name: number for number, name in enumerate(names)}
        return names, np.array([index[group_of.get(name, name)] for name in class_names], dtype=np.int64)
