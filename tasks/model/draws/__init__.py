"""The draws of a posterior that stay with a saved model, and what one process computes from them.

Lives here: their files, intervals of ratings, orders of items by quantiles or by chance, draws for new users.
Does not: sampling (tasks/training/posterior/), the model itself (tasks/model/).
May import: tasks/parsing/, tasks/kernels/, tasks/storage/.
"""
