"""The words of the command: what it prints where, and the exit codes.

Covers: pipeline/cli.py, pipeline/results/tables.py, pipeline/planning/plan.py, pipeline/progress/lines.py as a user
meets them, in processes of their own.
Does not cover: results (test_flow.py).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from program import CHECKOUT, SMALL, funkflow, funkflow_anew, overrides
from sessions import only_long
from typer.main import get_group
from ungated import UNGATED

from funkflow.pipeline.cli import listing, program
from funkflow.pipeline.commands.names import COMMANDS

NO_SCHEDULER = overrides("cluster.scheduler=tcp://127.0.0.1:9", "cluster.wait_seconds=1")


TOO_LARGE = overrides("synth.fraction=0.02", "train.method=batch", "train.rank=4096", "cluster.memory=600 MiB")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def ran(root: Path) -> subprocess.CompletedProcess[str]:
    return funkflow("run", "demo", "--root", str(root), *SMALL)


def test_a_run_ends_with_a_table_and_places(ran: subprocess.CompletedProcess[str], root: Path) -> None:
    assert ran.returncode == 0, ran.stderr
    models = ("mean rating", "bias baseline", "model", "planted truth (the floor)")
    for words in (*models, "validation: probe.txt", f"{root}/runs/"):
        assert words in ran.stdout
    assert f"to try next  funkflow recommend --model current --root {root} --user ID" in ran.stdout


def test_progress_goes_to_stderr_as_plain_lines(ran: subprocess.CompletedProcess[str]) -> None:
    assert "epoch   3" in ran.stderr
    assert "\x1b" not in ran.stderr
    assert "epoch" not in ran.stdout.split("rank 4")[0]


def test_json_is_the_last_line_of_stdout(ran: subprocess.CompletedProcess[str], root: Path) -> None:
    done = funkflow("run", "demo", "--root", str(root), "--json", *SMALL)
    result = json.loads(done.stdout.splitlines()[-1])
    wanted = {"run_id", "split", "rmse", "mae", "rank", "epochs", "seconds", "peak_memory_bytes", "paths"}
    assert wanted <= result.keys()
    assert (result["rank"], result["epochs"], result["split"]) == (4, 3, "probe.txt")
    assert "up to date" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run"], 2, "nothing to run: name a settings file or preset (funkflow run demo), or --ratings PATH"),
        (["run", "dmo"], 2, "no preset is called 'dmo'"),
        (["run", "demo", "--set", "train.rnk=3"], 2, "the nearest is 'train.rank'"),
        (["run", "demo", "--sett", "train.rank=3"], 2, "No such option"),
        (["frob"], 2, "No such command 'frob'; see funkflow --help"),
        (["rnu"], 2, "No such command 'rnu'. Did you mean 'run'? See funkflow --help"),
        (["runs", "diff"], 2, "Missing argument 'RUN'; see funkflow runs diff --help"),
        (["backfill"], 2, "Missing option '--from'; see funkflow backfill --help"),
        (["run", "--ratings", "nowhere.csv"], 3, "nowhere.csv: no such file or folder"),
        (["plan", "demo", "--set", "cluster.memory=100 MiB"], 4, "and has 100.00 MiB"),
        (["predict", "--model", "nowhere", "--pairs", "x.csv"], 2, "nowhere: there is no model here"),
        (["predict", "demo", "--model", "m", "--pairs", "x.csv"], 2, "--model takes the place of CONF"),
        (["run", "demo", *NO_SCHEDULER], 75, "no scheduler"),
        (["predict", "demo"], 2, "--pairs is missing"),
    ],
)
def test_errors_are_one_line_with_the_right_code(tmp_path: Path, words: list[str], code: int, message: str) -> None:
    place = ["--root", str(tmp_path)] if words[0] in ("run", "plan") and len(words) > 1 else []
    done = funkflow(*words, *place)
    assert done.returncode == code
    first, *rest = done.stderr.splitlines()
    if rest:
        assert first.startswith("note       funkflow ")
    last = (rest or [first])[0]
    assert last.startswith("funkflow: ")
    assert message in last


def test_a_run_says_at_once_that_it_begins(ran: subprocess.CompletedProcess[str], root: Path) -> None:
    """Before the cluster, and before what takes seconds to import."""
    assert ran.stderr.splitlines()[0] == f"note       funkflow {version('funkflow')}: up to report, root {root}"


def test_seconds_count_from_the_start_of_the_process(root: Path, ran: subprocess.CompletedProcess[str]) -> None:
    """One that has run for an hour, as the system has it."""
    code = (
        "import psutil, time; began = time.time() - 3600; psutil.Process.create_time = lambda _self: began; "
        "from funkflow.pipeline.cli import program; "
        f"program('run')(['run', 'demo', '--root', {str(root)!r}, '--json', *{SMALL!r}], standalone_mode=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert 3600 < json.loads(done.stdout.splitlines()[-1])["seconds"]["total"] < 3700


def test_a_shell_completes_commands_and_options() -> None:
    for words, found in (("funkflow re", {"recommend", "reconstruct", "report"}), ("funkflow run --roo", {"--root"})):
        asked = {"_FUNKFLOW_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        assert set(funkflow(**asked).stdout.split()) == found


def test_a_run_of_a_method_that_cannot_fit_is_refused_before_it_starts(tmp_path: Path) -> None:
    done = funkflow("run", "demo", "--root", str(tmp_path), *TOO_LARGE)
    assert done.returncode == 4
    assert "of memory for training by batch and has 600.00 MiB" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "datasets").exists()


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = funkflow("run", "--ratings", "nowhere.csv", "--root", str(tmp_path), "--debug")
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("funkflow: nowhere.csv")


def test_a_stage_on_its_own_stops_there(tmp_path: Path) -> None:
    ratings = str(CHECKOUT / "data" / "samples" / "ratings.csv")
    done = funkflow("ingest", "--ratings", ratings, "--root", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert Path(result["paths"]["dataset"], "ratings.parquet").is_dir()
    assert result["run_id"] is None
    assert not (tmp_path / "grids").exists()


def test_a_bare_run_says_the_format_and_needs_no_settings(tmp_path: Path) -> None:
    ratings = str(CHECKOUT / "data" / "samples" / "ratings.dat")
    done = funkflow(
        "run", "--ratings", ratings, "--root", str(tmp_path), "--set", "train.rank=4", "--json", *overrides(UNGATED)
    )
    assert done.returncode == 0, done.stderr
    assert "MovieLens ratings.dat" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["split"] == "hash 10 % (seed 0)"


def test_predict_with_a_saved_model(ran: subprocess.CompletedProcess[str], root: Path, tmp_path: Path) -> None:
    (model,) = root.glob("runs/*/model")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("user,item\n7,1\n7,999999\n")
    out = tmp_path / "out"
    places = ["--out", str(out)]
    done = funkflow("predict", "--model", str(model), "--pairs", str(pairs), *places)
    assert done.returncode == 0, done.stderr
    assert (out / "predictions.parquet").is_dir()


@pytest.mark.parametrize("name", ["thesis.txt", "predictions.txt"])
def test_predictions_leave_what_else_is_in_their_folder(
    ran: subprocess.CompletedProcess[str], root: Path, tmp_path: Path, name: str
) -> None:
    (model,) = root.glob("runs/*/model")
    pairs, thesis = tmp_path / "pairs.csv", tmp_path / "mine" / name
    pairs.write_text("user,item\n7,1\n")
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    done = funkflow("predict", "--model", str(model), "--pairs", str(pairs), "--out", str(thesis.parent))
    assert done.returncode == 2
    assert "not empty, and without complete predictions; name another folder" in done.stderr
    assert thesis.read_text() == "years of work"


@pytest.mark.parametrize("words", [["predict", "--pairs"], ["reconstruct"]])
def test_a_file_as_the_folder_of_results_is_refused_and_kept(
    ran: subprocess.CompletedProcess[str], root: Path, tmp_path: Path, words: list[str]
) -> None:
    (model,) = root.glob("runs/*/model")
    pairs, taken = tmp_path / "pairs.csv", tmp_path / "taken"
    pairs.write_text("user,item\n7,1\n")
    taken.write_text("years of work")
    more = [str(pairs)] if "--pairs" in words else []
    done = funkflow(*words, *more, "--model", str(model), "--out", str(taken))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(f"{taken}: is a file, or in one; set root, or --out, to a folder")
    assert taken.read_text() == "years of work"


def test_plan_says_what_would_run(tmp_path: Path) -> None:
    sets = overrides("ingest.ratings=[]", "synth.shape=netflix", "cluster.memory=64 GB")
    done = funkflow("plan", "netflix", *sets, "--root", str(tmp_path), "--json")
    assert done.returncode in (0, 4), done.stderr  # 4: this disk is too small for it
    plan = json.loads(done.stdout.splitlines()[-1])
    assert (plan["size"]["ratings"], plan["size"]["users"], plan["size"]["items"]) == (100_480_507, 480_189, 17_770)
    assert (plan["shards"], plan["shares"], plan["tasks_per_epoch"]) == (4, 1, 2)
    assert not list(tmp_path.iterdir())


def test_a_word_brings_its_own_command_and_only_those_that_share_its_module() -> None:
    brought = {word: set(get_group(program(word)).commands) for word in COMMANDS}
    assert set().union(*brought.values()) == set(COMMANDS) == set(get_group(program()).commands)
    modules = {word: listed.module for word, listed in COMMANDS.items()}
    assert brought == {word: {other for other in modules if modules[other] == modules[word]} for word in modules}
    assert set(get_group(listing()).commands) == set(COMMANDS)


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import funkflow.__main__", {"numba", "dask", "typer", "pandas"}),
        (
            "from funkflow.pipeline.cli import listing; listing()",
            {"numba", "dask", "bokeh", "pandas", "pyarrow", "pydantic"},
        ),
        ("from funkflow.pipeline.cli import program; program('runs')", {"numba", "distributed", "bokeh"}),
        ("from funkflow.pipeline.cli import program; program('plan')", {"bokeh"}),
    ],
    ids=["a worker process", "help", "runs", "plan"],
)
def test_what_is_not_needed_is_not_imported(code: str, absent: set[str]) -> None:
    """Seconds of every start."""
    told = f"{code}; import sys; print(*{absent!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert done.stdout == "\n"


def test_version() -> None:
    done = funkflow_anew("--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("funkflow 0.")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), only_long(signal.SIGTERM, 143)])
def test_an_interrupted_run_says_so_and_resumes(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Interrupted when the first epoch has been reported; the same command then ends well."""
    small = overrides("synth.fraction=0.02", "train.rank=4", UNGATED)
    long = overrides("train.minimum_gain=0", "train.patience=30", "train.epochs=30", "train.checkpoint_epochs=5")
    words = ["run", "demo", "--root", str(tmp_path), *small, *long]
    process = subprocess.Popen(
        [sys.executable, "-m", "funkflow", *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "epoch   6" in line:
            # A terminal sends Ctrl-C to all processes of the group, workers too; SIGTERM goes to the one that is named.
            (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
            break
    rest = process.stderr.read()
    assert process.wait(timeout=60) == code
    assert "interrupted; the same command resumes from the last checkpoint" in rest
    assert all(line.startswith(("train ", "warning ")) for line in rest.splitlines())
    again = funkflow("run", "demo", "--root", str(tmp_path), *words[4:])
    assert again.returncode == 0, again.stderr
    assert "resuming after epoch" in again.stderr


def test_synth_needs_no_settings(tmp_path: Path) -> None:
    done = funkflow("synth", "--shape", "netflix", "--fraction", "0.001", "--root", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    raw = Path(json.loads(done.stdout.splitlines()[-1])["paths"]["raw"])
    about = json.loads((raw / "manifest.json").read_text())
    assert about["ratings"] == pytest.approx(100_480_507 * 0.001, rel=0.01)
    assert {"probe.txt", "combined_data_1.txt"} <= {path.name for path in raw.iterdir()}
    assert funkflow("synth", "--shape", "square", "--root", str(tmp_path)).returncode == 2


@pytest.mark.long
@pytest.mark.alone
def test_memory_is_as_predicted(tmp_path: Path) -> None:
    """Half a million ratings, where what processes need by themselves counts most: within a fifth, as at full size."""
    raw = Path(tmp_path, "raw", "demo-0-0.5")
    words = ["--set", "synth.fraction=0.5", "--root", str(tmp_path), "--json"]
    assert json.loads(funkflow("synth", "demo", *words).stdout.splitlines()[-1])["paths"]["raw"] == str(raw)
    chosen = ["--ratings", str(raw), "--validation", str(raw / "probe.txt"), "--root", str(tmp_path), "--json"]
    plan = json.loads(funkflow("plan", *chosen).stdout.splitlines()[-1])["prediction"]
    measured = json.loads(funkflow_anew("run", *chosen).stdout.splitlines()[-1])["memory_bytes"]
    assert plan["training_bytes"] == pytest.approx(measured["train"], rel=0.2)
    ingest = max(measured[stage] for stage in ("ingest", "split", "grid"))
    assert plan["ingest_bytes"] == pytest.approx(ingest, rel=0.2)
    for method, shorter in (("batch", ["--set", "train.batch.steps=20"]), ("lanczos", [])):
        other = [*chosen, *shorter, "--set", f"train.method={method}", "--set", "train.rank=128"]
        plan = json.loads(funkflow("plan", *other).stdout.splitlines()[-1])["prediction"]
        measured = json.loads(funkflow_anew("train", *other).stdout.splitlines()[-1])["memory_bytes"]
        assert plan["training_bytes"] == pytest.approx(measured["train"], rel=0.2)
