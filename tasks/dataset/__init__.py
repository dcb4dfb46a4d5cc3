"""A dataset: ratings by dense ids, in parts of users, and the ratings kept for validation.

Lives here: numbering ids, bucketing and sorting rows, writing parts, holding out, matching ids of two datasets.
Does not: parsing (tasks/parsing/), blocks (tasks/grid/).
May import: tasks/model/, tasks/parsing/, tasks/storage/.
"""
