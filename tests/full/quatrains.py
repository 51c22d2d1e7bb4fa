"""The poems of SeqGAN beside those of maximum likelihood, held-out ones and ones that were trained on.

    minigan train seqgan --steps 2250 --out runs/mle
    minigan train seqgan
    python tests/full/quatrains.py runs/mle runs/seqgan [-n 2000]

Each run writes n poems; BLEU-2 to BLEU-4 are against the 2,000 held-out poems (the paper's 0.667 for maximum
likelihood and 0.739 for SeqGAN are on a split that it does not publish). "copies" is the share of poems that are in
the training text, "lines" that of their lines. Then ten poems of the last run, the first that it writes with seed 0.
"""

import argparse
from pathlib import Path

import numpy as np

from minigan.backend import rng, to_host
from minigan.data import as_lines, load_quatrains
from minigan.metrics.text import bleu, copied_lines, copies, distinct, self_bleu
from minigan.run import Run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("-n", type=int, default=2000)
    args = parser.parse_args()
    train, vocabulary = load_quatrains("train")
    test, _ = load_quatrains("test")
    shuffled = np.random.default_rng(0).permuted(test, axis=1)  # each poem's characters in any order
    some = np.random.default_rng(1).permutation(len(train))[: args.n]
    found = {"training poems": train[some], "held-out, shuffled": shuffled}
    told = {}
    for folder in args.runs:
        G, vocabulary, facts = Run(folder).load_writer()
        name = f"{Path(folder).name} ({facts['step']:,})"
        found[name] = to_host(G.write(rng(0), args.n, facts["length"]))
        told[name] = float(-to_host(G.log_likelihood(test).mean()))
    columns = "BLEU-2", "BLEU-3", "BLEU-4", "self-BLEU-2", "distinct-2", "copies", "lines", "NLL test"
    print(" " * 28 + "  ".join(columns))
    for name, words in found.items():
        scores = bleu(words, test, n=4)
        row = [scores[2], scores[3], scores[4], self_bleu(words[:500], n=2)[2], distinct(words, 2)]
        if name != "training poems":
            row += [copies(words, train), copied_lines(words, train).share]
        row += [told[name]] if name in told else []
        print(f"{name:26}" + "".join(f"{value:{len(column) + 2}.3f}" for value, column in zip(row, columns)))
    print()
    print("\n\n".join(as_lines(vocabulary.decode(row)) for row in words[:10]))


if __name__ == "__main__":
    main()
