"""How fast is minigan? One full training step beside PyTorch eager, on the same cores, in fair alternation.

    python -m minigan.bench mlp --torch-python ~/torch/bin/python

Every contestant runs in a process of its own, one after the other, round after round: in one process, two libraries
disturb each other's threads and memory. All compute with the same number of threads, from the same weights, under
an allocator that keeps its memory instead of handing it back to the kernel after every step. Before, each takes one
step on one given batch and the gradients are compared, so that it is seen that all do the same work. That is done in
float64: in float32, a rounding that carries one number over ReLU's kink shows as much as a small mistake would.

A new GAN of images is one more entry of CASES: its networks, written once in minigan's layers, and who takes part;
PyTorch's are translated from them. Any other case gives its count of products, its start and a function for each
contestant. The files, in the order of reading: case (what a case is), images, words, music, clips, measuring.
"""

from functools import partial

from minigan.bench.case import MINIGAN, WORKERS
from minigan.bench.clips import clips_case
from minigan.bench.images import DIGITS, PICTURES, gan_case, mlp, plain_critic_step
from minigan.bench.music import music_case
from minigan.bench.words import WriterSizes, writer_case
from minigan.steps import d_step, stacked_d_step, wgan_gp_d_step

ALONE, STACKED, MERGED = {"d_step": d_step}, {"d_step": stacked_d_step}, {"d_step": wgan_gp_d_step}
SHARED = {"d_step": d_step, "processes": 2}
CASES = {
    "mlp": gan_case((64, 256), mlp, {MINIGAN: STACKED, "minigan plain": ALONE}),
    "dcgan": gan_case((64,), DIGITS, {MINIGAN: ALONE, WORKERS: SHARED}),
    "dcgan64": gan_case((64,), PICTURES, {MINIGAN: ALONE, WORKERS: SHARED}),
    "lstm": writer_case(WriterSizes(vocabulary=5000, features=32, hidden=32, length=20)),
    "lstm-big": writer_case(WriterSizes(vocabulary=2000, features=128, hidden=256, length=40)),
    "gp": gan_case((64,), mlp, {MINIGAN: MERGED, "minigan plain": {"d_step": plain_critic_step}}, critic=True),
    "gp-conv": gan_case(
        (64,), partial(DIGITS, critic=True), {MINIGAN: MERGED, WORKERS: SHARED | MERGED}, critic=True
    ),
    "midinet": music_case(),
    "video": clips_case(),
}
