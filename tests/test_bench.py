"""The benchmark runs, alone and tiny; nothing here asks how fast anything is."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from minigan import bench

MINIGANS = {"minigan", "minigan plain"}


def on_one_cpu():
    """A second thread that has to wait for its CPU would make a run on a busy machine take a minute."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def run(*arguments):
    command = [sys.executable, "-m", "minigan.bench", *map(str, arguments)]
    start = {"preexec_fn": on_one_cpu} if os.name == "posix" else {}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **start)


def test_a_tiny_run_prints_a_table_and_writes_its_numbers(tmp_path):
    file = tmp_path / "numbers.json"
    done = run("mlp", "--batch", 8, "--rounds", 1, "--seconds", 0.2, "--json", file)
    assert done.returncode == 0, done.stderr
    numbers = json.loads(file.read_text())

    assert numbers["settings"] == {"case": "mlp", "device": "cpu", "rounds": 1, "seconds": 0.2}
    assert numbers["machine"].keys() == {"system", "CPUs", "threads", "Python", "NumPy", "BLAS", "torch"}
    assert numbers["machine"]["NumPy"] == np.__version__
    assert numbers["machine"]["threads"] == 1 or not hasattr(os, "sched_setaffinity")
    (table,) = numbers["tables"]
    assert table.keys() == {"batch", "gflop", "contestants"}
    assert table["batch"] == 8
    assert set(table["contestants"]) >= MINIGANS
    for name, row in table["contestants"].items():
        assert f"\n{name} " in done.stdout
        assert {"ms_median", "ms_best_decile", "ms_of_rounds", "steps_per_s", "gflop_per_s"} < row.keys()
        assert 0 < row["ms_best_decile"] <= row["ms_median"]
        assert row["ms_of_rounds"] == [row["ms_median"]]  # of one round
        assert row["steps_per_s"] * row["ms_median"] == pytest.approx(1000)
        assert row["gflop_per_s"] == pytest.approx(table["gflop"] * row["steps_per_s"])

    if importlib.util.find_spec("torch") is None:
        assert set(table["contestants"]) == MINIGANS
        assert "pip install torch" in done.stdout
    else:
        assert all(apart < 1e-3 for row in table["contestants"].values() for apart in row["parity"].values())


def test_the_two_ways_of_minigan_take_the_same_step():
    start = bench.mlp_start(8)
    gradients = []
    for name in sorted(MINIGANS):
        players = bench.CASES["mlp"].contestants[name](start, 8, "cpu")
        players["D"].step(start["first.D.0"], start["first.D.1"])
        players["G"].step(start["first.G.0"])
        gradients.append({f"{p}.{key}": g for p, player in players.items() for key, g in player.gradients().items()})
    assert gradients[0].keys() == gradients[1].keys() == {key for key in start if key[:2] in ("G.", "D.")}
    for key, g in gradients[0].items():
        assert g.dtype == start[key].dtype == np.float32
        assert abs(g).max() > 0
        assert abs(g - gradients[1][key]).max() < 1e-4 * abs(g).max()


def test_products_are_counted_as_in_a_full_step():
    assert bench.mlp_flop(64) / 1e9 == pytest.approx(2.04, abs=0.005)
    assert bench.mlp_flop(256) / 1e9 == pytest.approx(8.18, abs=0.005)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nothing"], "invalid choice"),
        (["mlp", "--batch", "0"], "positive"),
        (["mlp", "--seconds", "nan"], "positive"),
        (["mlp", "--json", "no/such/folder/file.json"], "There is no folder"),
        (["mlp", "--torch-python", "no-such-python"], "cannot be started"),
    ],
)
def test_errors_are_one_sentence(arguments, words, capsys):
    with pytest.raises(SystemExit) as end:
        bench.main(arguments)
    message = f"{capsys.readouterr().err}{end.value.code}"
    assert words in message
    assert "Traceback" not in message


def test_a_contestant_that_fails_is_named(tmp_path):
    job = dict(name="minigan", case="mlp", batch=8, device="cpu", threads=1, start=str(tmp_path / "missing.npz"))
    with pytest.raises(SystemExit, match=r"bench: minigan could not run at batch 8: .*missing\.npz"):
        bench.run_worker(sys.executable, tmp_path, job)


def test_help():
    done = run("--help")
    assert done.returncode == 0
    assert "--torch-python" in done.stdout
    assert "--worker" not in done.stdout
