"""The benchmark runs, alone and tiny; nothing here asks how fast anything is."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from minigan import bench, models
from minigan.backend import rng
from minigan.bench import clips, measuring
from minigan.bench.__main__ import main
from minigan.bench.case import MINIGAN, WORKERS, torchs_places
from minigan.bench.images import DIGITS, PICTURES
from minigan.bench.music import torchs_midinet_places
from minigan.models import midinet
from minigan.optim import Adam
from minigan.torch_twin import torchs_order
from minigan.workers import usable

PLAIN = {"minigan", "minigan plain"}
MINIGANS = {
    "lstm": {"minigan"},
    "lstm-big": {"minigan"},
    "mlp": PLAIN,
    "dcgan": {"minigan"},
    "dcgan64": {"minigan"},
    "gp": PLAIN,
    "gp-conv": {"minigan"},
    "midinet": {"minigan"},
    "video": {"minigan"},
}


def on_one_cpu():
    """A second thread that has to wait for its CPU would make a run on a busy machine take a minute."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def run(*arguments):
    command = [sys.executable, "-m", "minigan.bench", *map(str, arguments)]
    start = {"preexec_fn": on_one_cpu} if os.name == "posix" else {}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **start)


@pytest.mark.parametrize("case", bench.CASES)
def test_a_tiny_run_prints_a_table_and_writes_its_numbers(case, tmp_path):
    file = tmp_path / "numbers.json"
    done = run(case, "--batch", 4, "--rounds", 1, "--seconds", 0.2, "--json", file)
    assert done.returncode == 0, done.stderr
    numbers = json.loads(file.read_text())

    assert numbers["settings"] == {"case": case, "device": "cpu", "rounds": 1, "seconds": 0.2}
    assert numbers["machine"].keys() == {"system", "CPUs", "threads", "Python", "NumPy", "BLAS", "torch"}
    assert numbers["machine"]["NumPy"] == np.__version__
    assert numbers["machine"]["threads"] == 1 or not hasattr(os, "sched_setaffinity")
    (table,) = numbers["tables"]
    assert table.keys() == {"batch", "gflop", "contestants"}
    assert table["batch"] == 4
    assert set(table["contestants"]) >= MINIGANS[case]
    for name, row in table["contestants"].items():
        assert f"\n{name} " in done.stdout
        assert {"ms_median", "ms_best_decile", "ms_of_rounds", "steps_per_s", "gflop_per_s", "peak_mib"} < row.keys()
        assert 0 < row["ms_best_decile"] <= row["ms_median"]
        assert row["ms_of_rounds"] == [row["ms_median"]]  # of one round
        assert row["steps_per_s"] * row["ms_median"] == pytest.approx(1000)
        assert row["gflop_per_s"] == pytest.approx(table["gflop"] * row["steps_per_s"])
        if sys.platform in ("linux", "darwin"):
            assert 30 < row["peak_mib"] < 10_000

    if importlib.util.find_spec("torch") is None:
        assert set(table["contestants"]) == MINIGANS[case]
        assert "pip install torch" in done.stdout
    else:
        assert all(apart < 1e-9 for row in table["contestants"].values() for apart in row["parity"].values())


def first_gradients(case, name, batch, dtype):
    arrays = bench.CASES[case].start(batch).items()
    start = {key: a if a.dtype.kind == "i" else a.astype(dtype) for key, a in arrays}
    return start, measuring.first_gradients(bench.CASES[case].contestants[name](start, batch, "cpu"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case, name", [(case, name) for case, names in MINIGANS.items() for name in sorted(names)])
def test_every_weight_of_minigan_has_a_gradient(case, name, dtype):
    start, gradients = first_gradients(case, name, 2, dtype)
    players = ("D.",) if case.startswith("gp") else ("G.", "D.")
    assert gradients.keys() == {key for key in start if key[:2] in players}
    for key, g in gradients.items():
        assert g.shape == start[key].shape
        assert g.dtype == dtype
        assert abs(g).max() > 0 or (case.startswith("gp") and last_bias(key, start))


def last_bias(key, start):
    """A critic's last bias moves real and fake alike, and no slope at all: its gradient is zero."""
    return key == max((k for k in start if k[:2] == "D." and k[-2:] == ".b"), key=lambda k: int(k.split(".")[1]))


@pytest.mark.parametrize("case", ["mlp", "gp"])
def test_the_two_ways_of_minigan_take_the_same_step(case):
    (_, stacked), (_, plain) = (first_gradients(case, name, 8, "float64") for name in sorted(MINIGANS[case]))
    for key, g in stacked.items():
        assert abs(g - plain[key]).max() <= 1e-10 * abs(g).max()


@pytest.mark.parametrize("size, networks", [(28, DIGITS), (64, PICTURES)])
def test_the_convolutions_are_those_of_the_model(size, networks):
    model, (G, D) = models.dcgan(rng(0), (size, size, 1)), networks(rng(0))
    shapes = lambda net: {key: p.shape for key, p in net.params.items()}
    assert G.output_shape((model.noise,)) == model.image_shape
    for net, models_net in ((G, model.G), (D, model.D)):
        assert [type(layer) for layer in net.layers] == [type(layer) for layer in models_net.layers]
        assert shapes(net) == shapes(models_net)
    if size == 64:  # an even kernel has as many zeros on both sides anyway
        z = model.draw_noise(rng(1), 2)
        images, models_images = G.forward(z)[0], model.G.forward(z)[0]
        assert np.allclose(images, models_images, rtol=1e-4, atol=1e-5)
        assert np.allclose(D.forward(images)[0], model.D.forward(images)[0], rtol=1e-4, atol=1e-5)


def test_flat_images_are_turned_between_minigans_order_and_torchs():
    r, (G, D) = rng(0), DIGITS(rng(0))

    def minigans(net, shape, key, torchs):
        shape, sizes, axes = next(order for name, *order in torchs_order(net, shape) if name == key)
        return torchs.reshape(sizes).transpose(axes).reshape(shape)

    z, torchs = r.standard_normal(100), r.standard_normal((256 * 7 * 7, 100))
    image = (z @ minigans(G, (100,), "0.W", torchs)).reshape(7, 7, 256)
    assert np.allclose(image.transpose(2, 0, 1).ravel(), torchs @ z)

    image, torchs = r.standard_normal((7, 7, 128)), r.standard_normal((1, 128 * 7 * 7))
    logit = image.ravel() @ minigans(D, (28, 28, 1), "6.W", torchs)
    assert np.allclose(logit, torchs @ image.transpose(2, 0, 1).ravel())


def torchs(net, places):
    """The parameters in PyTorch's order, where each number says which of minigan's it is."""
    assert places.keys() == net.params.keys()
    for key, at in places.items():
        assert np.array_equal(np.sort(at, axis=None), np.arange(net.params[key].size))
    return {key: net.params[key].ravel()[at] for key, at in places.items()}


def test_midinets_weights_are_turned_to_torchs():
    r, G, D = rng(0), midinet.Composer(rng=rng(0)), midinet.Listener(rng=rng(0))
    places = torchs_midinet_places(G, D)
    of_G, of_D = torchs(G, places["G"]), torchs(D, places["D"])
    h, f, y = r.standard_normal(1037), r.standard_normal((3, 1, 77)), r.standard_normal(13)
    image = (h @ G.params["3.W"]).reshape(2, 1, 128)
    assert np.allclose((of_G["3.W"] @ h).reshape(128, 2, 1), image.transpose(2, 0, 1))
    flat = np.concatenate([f.transpose(2, 0, 1).ravel(), y])  # (c, h, w), and the chord
    assert np.allclose(of_D["6.W"] @ flat, np.concatenate([f.ravel(), y]) @ D.params["6.W"])
    G.params["4.beta"][...] = r.standard_normal(256)
    betas = torchs(G, places["G"])["4.beta"].reshape(128, 2, 1)
    assert np.array_equal(betas.transpose(1, 2, 0).ravel(), G.params["4.beta"])
    assert of_G["7.W"][5, 6, 1, 0] == G.params["7.W"][1, 0, 5, 6]  # (I, O, h, w), transposed
    assert of_G["21.W"][5, 6, 1, 0] == G.params["21.W"][1, 0, 6, 5]  # (O, I, h, w)


def test_videos_weights_are_turned_to_torchs():
    nets = clips.networks(rng(0))
    of_G, of_clip = torchs(nets["G"], torchs_places(nets["G"], clips.FLAT)), nets["clip"].params["0.W"]
    code = rng(1).standard_normal(60)
    image = (code @ nets["G"].params["1.W"]).reshape(4, 4, 64)
    assert np.allclose((of_G["1.W"] @ code).reshape(64, 4, 4), image.transpose(2, 0, 1))
    assert np.array_equal(of_G["0.Wx"], nets["G"].params["0.Wx"].T)
    assert np.array_equal(of_G["0.Wh"], nets["G"].params["0.Wh"].T)
    turned = torchs(nets["clip"], torchs_places(nets["clip"], {}))["0.W"]
    assert turned.shape == (16, 3, 4, 4, 4)
    assert turned[7, 2, 0, 1, 3] == of_clip[0, 1, 3, 2, 7]


@pytest.mark.parametrize(
    "case, batch, gflop", [("mlp", 64, 2.04), ("mlp", 256, 8.18), ("dcgan", 64, 52.75), ("dcgan64", 64, 156.28)]
)
def test_products_are_counted_as_in_a_full_step(case, batch, gflop):
    assert bench.CASES[case].flop(batch) / 1e9 == pytest.approx(gflop, abs=0.005)


def test_midinets_products_are_those_that_pytorch_counts_but_the_chord_once():
    """torch.utils.flop_counter (2.13.0) has 1,691,145,504 for "PyTorch best" at a batch of 72."""
    grow = (
        13 * 256 * (1 + 3 + 7) + 13 * 128 * 15
    )  # the chord at every place but one: forward in three passes, dW in two
    back = 2 * (13 * 256 * 14 + 13 * 128 * 16 + 13 * 256) + 4 * (13 * 1024 + 13)  # and its gradient, in G and in D
    assert bench.CASES["midinet"].flop(72) == 1_691_145_504 - 2 * 72 * (5 * grow + back)


def test_videos_products_are_those_that_pytorch_counts_but_the_content_once():
    """torch.utils.flop_counter (2.13.0) has 7,038,566,400 for "PyTorch best" at a batch of 8, and no LSTM in it."""
    content = 50 * 1024 * (3 * 15 + 16)  # in 15 frames of 16 forward, in two passes, and to dW; its gradient in all
    lstm = 3 * 16 * (400 + 400) + 15 * 400
    assert bench.CASES["video"].flop(8) == 7_038_566_400 - 2 * 8 * (content - lstm)


def test_midinets_players_take_the_models_steps():
    """D's, then two of G's, each bar after the one before it."""
    start, gradients = first_gradients("midinet", MINIGAN, 8, "float64")
    nets = {"G": midinet.Composer(rng=rng(5)).astype("float64"), "D": midinet.Listener(rng=rng(5)).astype("float64")}
    for name, net in nets.items():
        net.theta = np.concatenate([start[f"{name}.{key}"].ravel() for key in net.params])
    G, D = nets["G"], nets["D"]
    at, of_G, of_D = start["first.rows"], Adam(G, 2e-4), Adam(D, 2e-4)
    bars = start["bars"][at], start["chords"][at], start["bars"][at - 1]
    midinet.d_step(G, D, of_D, *bars, start["first.z_D"])
    for z in ("z_G", "z_G2"):
        midinet.g_step(G, D, of_G, *bars, start[f"first.{z}"])
    for name, net in nets.items():
        for key, g in net.grads.items():
            assert abs(gradients[f"{name}.{key}"] - g).max() <= 1e-12 * abs(g).max()


@pytest.mark.skipif(usable() < 2, reason="workers need Linux, x86, two cores and NumPy")
@pytest.mark.parametrize("case", ["lstm", "midinet", "video"])
def test_two_workers_take_the_step_of_one(case):
    start, alone = first_gradients(case, MINIGAN, 4, "float64")
    players = bench.CASES[case].contestants[WORKERS](start, 4, "cpu")
    try:
        for key, g in measuring.first_gradients(players).items():
            assert abs(g - alone[key]).max() <= 1e-9 * abs(alone[key]).max(), key
    finally:
        step = players["G"].step
        getattr(step, "func", step).stop()


def test_the_peak_is_of_this_process_and_no_other():
    before = measuring.peak_mib()
    if before is None:
        pytest.skip("this system does not tell")
    np.ones(int((before + 32) * 2**20), "uint8")
    now = measuring.peak_mib()
    assert before + 32 < now < 2 * before + 200
    code = "from minigan.bench import measuring; print(measuring.peak_mib())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 10 < float(child.stdout) < now / 2


def test_no_peak_is_printed_where_the_system_does_not_tell(capsys):
    row = dict(ms_median=1.0, ms_best_decile=1.0, steps_per_s=1000.0, gflop_per_s=2.0, peak_mib=None, ratio_to={})
    measuring.print_table({"batch": 8, "gflop": 0.002, "contestants": {"minigan": row}})
    *_, title, line = capsys.readouterr().out.splitlines()
    assert "peak MiB" in title
    assert line.split() == ["minigan", "1.00", "1.00", "1000.0", "2.0"]


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
        main(arguments)
    message = f"{capsys.readouterr().err}{end.value.code}"
    assert words in message
    assert "Traceback" not in message


def test_a_contestant_that_fails_is_named(tmp_path):
    job = dict(name="minigan", case="mlp", batch=8, device="cpu", threads=1, gradients=None)
    job["start"] = str(tmp_path / "missing.npz")
    with pytest.raises(SystemExit, match=r"bench: minigan could not run at batch 8: .*missing\.npz"):
        measuring.run_worker(sys.executable, tmp_path, job)


def test_help():
    done = run("--help")
    assert done.returncode == 0
    assert "--torch-python" in done.stdout
    assert "mlp: 64 256; dcgan: 64; dcgan64: 64" in " ".join(done.stdout.split())
    assert "--worker" not in done.stdout
