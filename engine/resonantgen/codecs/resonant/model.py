"""`resonant`, the project's own codec: MDCT coefficients, ConvNeXt blocks and residual vector quantisation, streaming.

24 kHz, one channel, 75 frames a second; 8 codebooks of 1024 are 6 kbit/s. It was trained here and is shipped.
"""

from __future__ import annotations

from resonantgen.codecs.network import NetworkCodec
from resonantgen.codecs.resonant import net
from resonantgen.codecs.resonant.config import ResonantConfig


class Resonant(NetworkCodec):
    """A `Codec`. Its streams must not outlive a change of its weights."""

    beam = 8  # for bass and harmony half a dB more than 1 has; encoding takes three times as long

    def __init__(self, config: ResonantConfig) -> None:
        super().__init__(config, net.encoder(config), net.decoder(config))
        self.config = config
