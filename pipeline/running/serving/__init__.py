"""A model over HTTP.

Lives here: the application, the model that it serves and its change, batches of requests, metrics, the server.
Does not: the answers (tasks/serving/), the command (pipeline/commands/predict.py).
May import: FastAPI and uvicorn, of the extra `serve`; pipeline/models/, pipeline/root/, and below.
"""
