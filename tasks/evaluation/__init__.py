"""Errors of a saved model on validation ratings, by parts of the data.

Lives here: rows of a model for ratings, errors by groups, distributions of a dataset, two models compared.
Does not: the report's page (pipeline/results/).
May import: tasks/training/, tasks/dataset/, tasks/model/.
"""
