"""The root folder: where runs keep manifests, records, locks and the model in use.

Lives here: the store and its manifests, the lock, the ledger, results, the model in use, pruning.
Does not: the files of one dataset or model (tasks/).
May import: pipeline/progress/, pipeline/settings/, tasks/.
"""
