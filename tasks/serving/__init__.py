"""Recommendations for many users at once from a saved model.

Lives here: the model as arrays by dense ids, the best items of each user, the files of recommendations.
Does not: one user in one process (tasks/model/).
May import: tasks/model/, tasks/kernels/, tasks/storage/.
"""
