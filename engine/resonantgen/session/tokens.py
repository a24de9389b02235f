"""The tokens of an imported track: what our codec makes of its stem. An import needs none: torch may be missing."""

from __future__ import annotations

import tempfile
from pathlib import Path

from resonantgen.errors import ModelError
from resonantgen.session.source import Tokens

BANDWIDTH_KBPS = 6.0


def tokens_of(wav: bytes, model: str | None = None) -> tuple[Tokens, bytes]:
    """What a WAV file's tokens are, and their file (`codecs.token_file`), by our codec or another one that is here.

    The same on the same machine with the same weights. Raises ModelError where there is no codec, or no torch.
    """
    from resonantgen.codecs.loading import DEFAULT_CODEC, load_codec

    loaded = load_codec(model or DEFAULT_CODEC)
    from resonantgen.codecs.bandwidth import codebooks_at
    from resonantgen.codecs.transcode import encode_file

    codebooks = codebooks_at(loaded.codec.shape, BANDWIDTH_KBPS)
    with tempfile.TemporaryDirectory() as folder:
        stem, target = Path(folder) / "stem.wav", Path(folder) / "stem.rgt"
        stem.write_bytes(wav)
        header = encode_file(stem, target, loaded, codebooks)
        data = target.read_bytes()
    return Tokens.of(data, header.model, header.frames, float(header.bandwidth_kbps)), data


def reason_of(error: ModelError) -> str:
    """Why there are no tokens, for a line about something else."""
    return " ".join(str(error).split()).partition(". ")[0].rstrip(".")
