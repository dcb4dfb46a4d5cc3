"""Synthetic ratings from planted factors, in the format of the Netflix Prize.

Lives here: drawing factors and ratings, writing the files, invented titles.
Does not: reading them back (tasks/parsing/).
May import: tasks/model/, tasks/storage/.
"""
