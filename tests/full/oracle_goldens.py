"""Numbers nobody here wrote: the published SeqGAN oracle's likelihood of its own sequences.

    python tests/full/oracle_goldens.py ORACLE.npz SEQUENCES.npz

ORACLE.npz holds the arrays of the paper's target LSTM, SEQUENCES.npz its 9,984 sequences as "tokens". Known of them:
the mean -log p of a word is 5.76095, and the entropy of the first word 6.523954, most likely 3918 with p = 0.0261772.
"""

import sys

import numpy as np

from minigan.models.seqgan import oracle_from


def main():
    arrays, words = np.load(sys.argv[1]), np.load(sys.argv[2])["tokens"].astype("int64")
    net = oracle_from(arrays)
    of_each = -net.log_likelihood(words)
    nll = of_each.mean()
    logits = net.forward(words[:1, :1])[0][0, 0].astype("float64")
    p = np.exp(logits - logits.max())
    p /= p.sum()
    entropy = -(p * np.log(p)).sum()
    print(f"NLL of {len(words):,} sequences: {nll:.5f} (published arrays: 5.76095)")
    print(f"H(first word): {entropy:.6f} (6.523954); most likely {p.argmax()} (3918), p {p.max():.7f} (0.0261772)")
    drawn = net.write(np.random.default_rng(0), 4000, words.shape[1])
    own = -net.log_likelihood(drawn).mean(axis=1)
    error = own.std() / np.sqrt(len(own))
    print(f"NLL of 4,000 sequences written here: {own.mean():.4f} +- {error:.4f} (its own entropy: 5.7558 +- 0.0032)")
    good = (
        abs(nll - 5.76095) < 1e-4 and abs(entropy - 6.523954) < 1e-5 and abs(own.mean() - 5.7558) < 4 * error + 0.01
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
