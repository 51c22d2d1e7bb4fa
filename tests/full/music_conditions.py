"""Does MidiNet listen? Tunes beside the corpus, and beside the same networks trained without chord and bar before.

    minigan train midinet
    minigan train midinet-deaf
    python tests/full/music_conditions.py runs/midinet runs/midinet-deaf [-n 200]

Each run makes n tunes of eight bars over the chords of held-out chorales; in key and in chord are shares of sounding
steps. "Other chords" judges MidiNet's tunes by the chords of another tune: what is in chord there is chance.
Ends with status 1 where MidiNet is not more in chord and in key than the deaf one, or leaves 2 % of the bars empty.
"""

import argparse
import sys

import numpy as np

from minigan.backend import rng, to_device, to_host
from minigan.composing import BARS
from minigan.data import load_chorales
from minigan.data.music import stretches
from minigan.metrics import music
from minigan.models.midinet import NOISE, compose
from minigan.run import Run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs=2)
    parser.add_argument("-n", type=int, default=200)
    args = parser.parse_args()
    test = load_chorales("test")
    real = stretches(test, BARS)
    lent = real[np.arange(args.n) % len(real)]  # (n, 8)
    chords, keys = test.chord[lent], test.key[lent[:, 0]].T

    def made(folder):
        G, _ = Run(folder).load_composer()
        z = rng(1).standard_normal((args.n, BARS, NOISE), dtype="float32")
        return to_host(compose(G, z, to_device(chords)))

    listens, deaf = map(made, args.runs)
    rows = {
        "corpus": music.measures(test.melody[real], test.chord[real], *test.key[real[:, 0]].T),
        "MidiNet": music.measures(listens, chords, *keys),
        "deaf": music.measures(deaf, chords, *keys),
        "MidiNet, other chords": music.measures(listens, np.roll(chords, 7, axis=0), *np.roll(keys, 7, axis=1)),
    }
    print(music.table(rows))
    ours, control = rows["MidiNet"], rows["deaf"]
    better = all(ours[name] > control[name] for name in ("in_chord", "in_key"))
    return 0 if better and ours["empty_bars"] < 0.02 else 1


if __name__ == "__main__":
    sys.exit(main())
