"""The parts of the ablation: what a rating is predicted from.

Covers: their names, the settings of ours and the features of myFM.
Does not cover: features as matrices (features.py), or how each is run (contestants.py).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One row of the table.

    Attributes
    ----------
    name : as the command line has it.
    about : its features, in words.
    implicit, time : `train.implicit` and `train.time` of ours.
    who : whether myFM has the items of the user and the users of the item.
    when : whether it has the day of the rating.
    """

    name: str
    about: str
    implicit: str
    time: str
    who: bool
    when: bool


PARTS = (
    Part("plain", "user and item", "none", "none", who=False, when=False),
    Part("who", "and who rated what", "both", "none", who=True, when=False),
    Part("when", "and the day", "both", "user_days", who=True, when=True),
)
"""Each adds to the one before.

The day is the same column of the ratings for both, yet not the same model. Ours has an effect of each user on each of
their days. myFM has a row of factors for each day, which meets those of the user and of the item.
"""
