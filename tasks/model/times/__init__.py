"""What time adds to the predictions of a saved model.

Lives here: effects of users on their days and of items in parts of the years, and their columns in the open form.
Does not: training with them (tasks/training/times/), the model (tasks/model/model.py).
May import: tasks/kernels/, tasks/storage/, tasks/errors.py.
"""
