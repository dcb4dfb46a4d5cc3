"""The command `serve`: a model over HTTP.

Covers: its options, and the error if a package of the extra is missing.
Does not cover: the server (pipeline/running/serving/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from funkflow.pipeline.commands.options import Root, default_root, watching
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late
from funkflow.tasks.storage.paths import expand_home

if TYPE_CHECKING:
    from funkflow.pipeline.running.serving import follower, server
else:  # the help needs none of them
    follower, server = (late(f"funkflow.pipeline.running.serving.{name}") for name in ("follower", "server"))

_IN_USE = "current"
_PACKAGES = ("fastapi", "httptools", "starlette", "uvicorn", "uvloop")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(serve)


def serve(
    *,
    model: Annotated[
        str,
        typer.Option("--model", help="folder of a saved model; current: the model in use, and those that follow it"),
    ] = _IN_USE,
    root: Root = "",
    goal: Annotated[
        Literal["ratings", "ranking"],
        typer.Option("--goal", help="with --model current: of the models in use, that for ratings or that which ranks"),
    ] = "ranking",
    host: Annotated[str, typer.Option("--host", help="address to listen on")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", help="port to listen on; 0: any that is free", min=0, max=65535)
    ] = 8000,
    mapped: Annotated[
        str,
        typer.Option(
            "--mapped",
            help="local folder for the arrays that are mapped into memory; default: beside the model",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Answer requests over HTTP: predictions, recommendations, similar items, somebody new."""
    if model != _IN_USE and root:
        raise SettingsError(f"--model takes the place of --root, which goes only with --model {_IN_USE}")
    try:
        in_use = model == _IN_USE
        choose = follower.chosen_in_use(root or default_root(), goal) if in_use else follower.chosen_folder(model)
        server.serve(choose, host, port, expand_home(mapped) if mapped else "", watching())
    except ModuleNotFoundError as cause:
        missing = (cause.name or "").split(".")[0]
        if missing not in _PACKAGES:
            raise
        raise SettingsError(f"funkflow serve needs the package {missing}: pip install 'funkflow[serve]'") from cause
