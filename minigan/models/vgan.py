"""VGAN: a clip is a moving foreground before a still background, and both come from one z.

The foreground is one block of space and time, drawn by 3-D transposed convolutions, and so is the mask that says
where it hides the background. Nothing keeps content and motion apart, as MoCoGAN does (`minigan.models.video`, whose
ClipCritic serves here as the only critic). (Vondrick, Pirsiavash and Torralba 2016.)

N clips, T frames each, frames (H, W, C) with pixels in [-1, 1]; `base` channels next to the picture.
"""

from __future__ import annotations

from typing import Any

from minigan.backend import Array, xp
from minigan.layers import ShapeError, Tanh
from minigan.layers import dcgan as normal
from minigan.layers.activations import sigmoid
from minigan.losses import Loss, non_saturating
from minigan.models.video import doublings_to, unfolding
from minigan.network import Cache, Network, Sequential, check_cache
from minigan.optim import Optimizer


class VideoGenerator3d(Network):
    """clips = mask f + (1 - mask) b        z (N, noise)   f (N, T, H, W, C)   mask (N, T, H, W, 1)   b (N, H, W, C)

        f, mask = tanh(a), sigmoid(a')      a, a' (N, T, H, W, C + 1) = moving(z), 3-D transposed convolutions
        b = still(z)                        2-D transposed convolutions and tanh: one picture behind all frames

    Backward, each term from dclips alone:

        df = mask dclips
        dmask = sum over channels of (f - b) dclips
        db = sum over t of (1 - mask) dclips

    z decides content and motion at once. The published network is frames=32, size=64, base=64.
    Raises ShapeError for a size other than 32 or 64, and where T is not a multiple of size / 4: time is
    doubled as often as space. (Vondrick et al. 2016, section 2; shapes and first weights are those of their code.)
    """

    def __init__(
        self, frames: int = 16, size: int = 32, channels: int = 3, base: int = 16, noise: int = 100, *, rng: Any
    ) -> None:
        doublings = doublings_to(size)
        first, left = divmod(frames, 2**doublings)
        if left or first < 1:
            raise ShapeError(
                f"VideoGenerator3d doubles time as often as space: at {size}x{size} the number of frames is a "
                f"multiple of {2**doublings}, but got {frames}."
            )
        self.frames, self.size, self.channels, self.noise = frames, size, channels, noise
        last = {"base": base, "bias": True, "init": lambda rng, shape: 0.5 * normal(rng, shape)}  # N(0, 0.01^2)
        self.moving = Sequential(*unfolding(rng, noise, (first, 4, 4), doublings, channels + 1, **last))
        self.still = Sequential(*unfolding(rng, noise, (4, 4), doublings, channels, **last), Tanh())
        super().__init__(self.moving, self.still)

    def forward(self, z: Array, train: bool = True) -> tuple[Array, Cache]:
        a, a_cache = self.moving.forward(z, train)  # (N, T, H, W, C + 1)
        f, mask = xp.tanh(a[..., :-1]), sigmoid(a[..., -1:])
        b, b_cache = self.still.forward(z, train)
        b = b[:, None]  # (N, 1, H, W, C)
        return mask * f + (1 - mask) * b, Cache(self, [f, mask, b, a_cache, b_cache])

    def mask(self, cache: Cache) -> Array:
        """The mask of a forward pass, (N, T, H, W, 1): 1 where the foreground is seen."""
        return cache.layers[1]

    def backward(
        self,
        dy: Array,
        cache: Cache,
        param_grads: bool = True,
        input_grad: bool = True,
        d_mask: Array | float = 0.0,
    ) -> Array | None:
        """dz from dclips (N, T, H, W, C). d_mask: what comes to the mask beside that, as from a penalty on it."""
        check_cache(self, cache)
        f, mask, b, a_cache, b_cache = cache.layers
        df = mask * dy
        d_mask = d_mask + ((f - b) * dy).sum(axis=-1, keepdims=True)
        db = ((1 - mask) * dy).sum(axis=1)  # (N, H, W, C)
        da = xp.concatenate([df * (1 - f * f), d_mask * mask * (1 - mask)], axis=-1)  # through tanh, and sigmoid
        dz_moving = self.moving.backward(da, a_cache, param_grads, input_grad)
        dz_still = self.still.backward(db, b_cache, param_grads, input_grad)
        return dz_moving + dz_still if input_grad else None

    def output_shape(self, shape: Any = None) -> tuple[int, ...]:
        """Of one clip: (T, H, W, C)."""
        return self.frames, self.size, self.size, self.channels


def masked_g_step(
    G: VideoGenerator3d,
    D: Network,
    optimizer: Optimizer,
    z: Array,
    loss: Loss = non_saturating,
    weight: float = 0.1,
    trace: dict[str, Any] | None = None,
) -> Array:
    """VGAN's step for G: `minigan.steps.g_step`, and a penalty that keeps the foreground small. Returns L, 0-d.

    L = loss + weight mean|mask|        The mask is positive, so the penalty's gradient on it is weight / its size.
    D's step is `minigan.steps.d_step`, with a ClipCritic. (Vondrick et al. 2016, section 2; a mean as in their code.)
    """
    x_fake, g_cache = G.forward(z)
    fake_logits, d_cache = D.forward(x_fake)
    value, d_fake = loss.generator(fake_logits)
    dx_fake = D.backward(d_fake, d_cache, param_grads=False)
    mask = G.mask(g_cache)
    G.zero_grad()
    G.backward(dx_fake, g_cache, input_grad=False, d_mask=weight / mask.size)
    optimizer.step()
    value = value + weight * mask.mean()
    if trace is not None:
        trace.update(g_x_fake=x_fake, g_logits=fake_logits, mask=mask, dx_fake=dx_fake, g_value=value)
    return value
