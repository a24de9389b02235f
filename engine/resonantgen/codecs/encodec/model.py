"""EnCodec (Défossez et al., "High Fidelity Neural Audio Compression", 2022), streaming, without its training.

EnCodec 24 kHz is causal, but its paddings reflect: nothing leaves the decoder before frame 7, later each frame gives
its 320 samples. MusicGen's 32 kHz codec looks ahead: its decoder holds not quite 4 frames back. EnCodec 48 kHz codes
segments of a second, each by itself: whole segments come and go.
"""

from __future__ import annotations

from resonantgen.codecs.encodec import seanet
from resonantgen.codecs.encodec.config import EncodecConfig
from resonantgen.codecs.network import NetworkCodec
from resonantgen.codecs.segments import Segments


class Encodec(NetworkCodec):
    """A `Codec`. Its streams must not outlive a change of its weights."""

    def __init__(self, config: EncodecConfig) -> None:
        super().__init__(config, seanet.encoder(config), seanet.decoder(config))
        self.config = config

    @property
    def segments(self) -> Segments | None:
        samples, stride = self.config.segment_samples, self.config.segment_stride
        return None if samples is None or stride is None else Segments(samples, stride, self.frame_samples)
