"""Rows that no rating has trained: of users and items that come later, or of which features alone are known.

Lives here: the prior of new rows, measured on all others, and rows by their features.
Does not: the row of somebody new given ratings (tasks/model/fold/), features in draws (tasks/training/posterior/).
May import: tasks/training/implicit/, tasks/grid/, tasks/dataset/, tasks/model/.
"""
