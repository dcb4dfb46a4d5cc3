"""A model in the forms of other programs: arrays, tables and files.

Lives here: NumPy, pandas and Arrow for a model in memory; npz, safetensors and ONNX for columns of numbers.
Does not: reading a saved model part by part (pipeline/models/saved_forms.py), its own files (tasks/model/).
May import: tasks/storage/.
"""
