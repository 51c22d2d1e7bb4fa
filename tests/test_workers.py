"""Two processes take one step together, and it is the step of one process on the whole batch."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minigan import losses
from minigan.layers import BatchNorm, Conv, Dense, Dropout, Flatten, LeakyReLU
from minigan.models.dcgan import dcgan
from minigan.models.mlp import mlp
from minigan.network import Sequential
from minigan.optim import SGD, Adam, RMSProp
from minigan.steps import d_step, g_step
from minigan.training import Training
from minigan.workers import Workers, WorkersError, usable

pytestmark = pytest.mark.skipif(usable() < 2, reason="workers need Linux, x86, two cores and NumPy")


@pytest.fixture
def images():
    return np.random.default_rng(5).integers(0, 256, (40, 28, 28, 1), "uint8")


@pytest.mark.parametrize(
    "optimizer", [lambda net: SGD(net, 0.1), lambda net: Adam(net, 0.01, clip=0.5), lambda net: RMSProp(net, 0.01)]
)
@pytest.mark.parametrize("make", [lambda r: dcgan(r, width=2), lambda r: mlp(r, noise=4)])
@pytest.mark.parametrize("count", [2, 4])
def test_workers_take_the_step_of_one_process(make, optimizer, count):
    """theta, running statistics and gradients after three steps, in float64."""
    r = np.random.default_rng(0)
    x, z = r.standard_normal((3, 8, 28, 28, 1)), r.standard_normal((3, 8, make(r).noise))

    def three_steps(workers):
        model = make(np.random.default_rng(1))
        G, D = model.G.astype("float64"), model.D.astype("float64")
        of_G, of_D = optimizer(G), optimizer(D)
        together = Workers(workers, of_G, of_D) if workers > 1 else None
        share = together.rows if together else lambda a: a

        def step(k):
            d_step(G, D, of_D, losses.non_saturating, share(x[k]), share(z[k]))
            g_step(G, D, of_G, losses.non_saturating, share(z[k]))

        if together:
            together.start(step)
        for k in range(3):
            (together or step)(k)
        if together:
            together.stop()
        return [a for net in (G, D) for a in (net.theta, net.grad, *net.statistics.values())]

    found = three_steps(1), three_steps(count)
    for one, many in zip(*found):
        np.testing.assert_allclose(many, one, rtol=1e-5, atol=1e-7)
    assert np.abs(found[0][0]).max() > 0


def test_a_run_with_workers_resumes_bit_for_bit(images):
    model = lambda: dcgan(np.random.default_rng(0), width=2)
    whole = Training(model(), images, batch=8, workers=2, average=0.9)
    for _ in range(12):
        whole.advance()
    first = Training(model(), images, batch=8, workers=2, average=0.9)
    for _ in range(5):
        first.advance()
    saved = first.state()
    second = Training(model(), images, batch=8, workers=2, average=0.9)
    second.advance()  # its workers stand elsewhere, and must start anew
    second.load(*saved)
    for _ in range(7):
        second.advance()
    for name, array in whole.state()[0].items():
        assert np.array_equal(array, second.state()[0][name]), name
    for training in (whole, first, second):
        training.workers.stop()


def test_outside_a_step_a_network_is_one_process_s(images):
    """Sampling, copying and a forward pass by hand between two steps wait for nobody."""
    training = Training(dcgan(np.random.default_rng(0), width=2), images, batch=8, workers=2, average=0.9)
    training.advance()
    training.G.forward(np.zeros((4, 100), "float32"))
    training.D.copy()
    assert training.sample(3).shape == (3, 28, 28, 1)
    training.advance()
    assert training.step == 2
    training.workers.stop()


@pytest.mark.parametrize("moment", ["between two steps", "in a step"])
def test_a_worker_that_dies_is_reported(images, moment):
    G = dcgan(np.random.default_rng(0), width=2).G
    optimizer = SGD(G, 0.1)
    workers = Workers(2, optimizer)

    def step(die=False):
        if die and workers.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        optimizer.step()

    workers.start(step)
    workers()
    if moment == "between two steps":
        os.kill(workers._processes[0].pid, signal.SIGKILL)
        workers._processes[0].join()
    with pytest.raises(WorkersError, match="ended"):
        workers(True)
        workers()


def test_an_error_in_a_step_ends_the_others(images, capfd):
    training = Training(dcgan(np.random.default_rng(0), width=2), images, batch=8, workers=2)
    training.advance()
    process = training.workers._processes[0]
    training.G_optimizer.step = None
    with pytest.raises(TypeError):
        training.advance()
    process.join(5)
    assert not process.is_alive()


def test_workers_end_with_the_process_that_started_them(tmp_path):
    """Killed in the middle, it leaves nobody behind."""
    code = (
        "import numpy as np, os, sys\n"
        "from minigan.models.dcgan import dcgan\n"
        "from minigan.training import Training\n"
        "t = Training(dcgan(np.random.default_rng(0), width=8), np.zeros((64, 28, 28, 1), 'uint8'), workers=2)\n"
        "t.advance()\n"
        "print(t.workers._processes[0].pid, flush=True)\n"
        "while True: t.advance()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with process:
        worker = int(process.stdout.readline())
        time.sleep(0.3)
        process.kill()
    for _ in range(100):
        stat = Path(f"/proc/{worker}/stat")
        if (
            not stat.exists() or stat.read_text().split()[2] == "Z"
        ):  # ended, though nobody has asked for its exit code
            return
        time.sleep(0.1)
    raise AssertionError("the worker is still there")


def test_a_run_with_workers_ends_and_leaves_nobody(tmp_path):
    command = ["train", "dcgan", "--steps", "2", "--batch", "4", "--workers", "2", "--quiet", "--out", "run"]
    subprocess.run([sys.executable, "-m", "minigan", *command], cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()
    left = [path for path in Path("/proc").glob("[0-9]*/cwd") if os.access(path, os.R_OK) and path.exists()]
    assert not [path for path in left if path.resolve() == tmp_path]


def test_what_cannot_be_shared_is_refused(images):
    r = np.random.default_rng(0)
    model = mlp(r)
    with pytest.raises(ValueError, match="A batch of 9 cannot be shared out evenly to 2 workers"):
        Training(model, images, batch=9, workers=2)
    with pytest.raises(ValueError, match=r"Dropout\(0.5\) needs the whole batch in one place"):
        Workers(2, SGD(Sequential(Dense(2, 1, rng=r), Dropout(0.5, rng=r)), 0.1))
    with pytest.raises(ValueError, match="two or more"):
        Workers(1, SGD(model.G, 0.1))
    Workers(2, SGD(Sequential(Conv(1, 2, (3,), rng=r), BatchNorm(2), LeakyReLU(), Flatten()), 0.1))
