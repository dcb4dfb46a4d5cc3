"""Raw ratings of any format as rows of users, items, ratings and times.

Lives here: sources/ (which files), format/ (how they are laid out), rows/ (their rows); pairs, titles, raw ids,
samples. Does not: dense ids and the parts of a dataset (tasks/dataset/). May import: tasks/storage/.
"""
