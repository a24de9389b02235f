"""`codec encode | decode | info`, as a person uses them; and one line for each mistake, with nothing written."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from encodec_checkpoints import (
    SMALL_24KHZ,
    SMALL_32KHZ,
    SMALL_48KHZ,
    save_audiocraft,
    save_encodec,
    save_huggingface,
)
from resonantgen.audio.resample import resample
from resonantgen.cli import main
from resonantgen.codecs.base import Codes
from resonantgen.codecs.loading import load_codec
from resonantgen.codecs.network import NetworkEncoder
from resonantgen.codecs.token_file import read_header, read_tokens
from resonantgen.models.catalog import model_info
from resonantgen.models.folder import FORMAT, FileRecord, Manifest, write_manifest

MONO, STEREO, MUSICGEN = "mono.th", "stereo", "compression_state_dict.bin"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small model of each kind, each in another layout."""
    folder = tmp_path_factory.mktemp("models")
    return {
        MONO: save_encodec(SMALL_24KHZ, folder / MONO),
        STEREO: save_huggingface(SMALL_48KHZ, folder / STEREO),
        MUSICGEN: save_audiocraft(SMALL_32KHZ, folder / MUSICGEN),
    }


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `codec …` in an empty folder, with no model installed: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESONANTGEN_MODELS", str(tmp_path / "installed"))
    monkeypatch.setenv("RESONANTGEN_DEVICE", "cpu")
    capsys.readouterr()

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(["codec", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def tones(seconds: float, sample_rate: int, channels: int) -> NDArray[np.float64]:
    """[samples, channels] of chords with some noise, up to 0.6."""
    random = np.random.default_rng(channels)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    pitches = random.uniform(80, 2_000, (channels, 4, 1))
    sound: NDArray[np.float64] = 0.12 * np.sin(2 * np.pi * pitches * time).sum(axis=1).T
    return sound + random.uniform(-0.05, 0.05, sound.shape)


def write(path: str, sound: NDArray[np.float64], sample_rate: int, subtype: str = "PCM_24") -> NDArray[np.float64]:
    """Write a file; what it holds, rounded as it is."""
    soundfile.write(path, sound, sample_rate, subtype=subtype)
    return soundfile.read(path, always_2d=True)[0]


def done(run: Run, *arguments: str | Path) -> str:
    """The output of a command that goes well."""
    code, out, errors = run(*arguments)
    assert (code, errors) == (0, "")
    return out


def refused(run: Run, *arguments: str | Path, code: int = 2) -> str:
    """The message of one that does not: one line, and the folder is as it was."""
    before = digest(Path())
    got, out, errors = run(*arguments)
    assert (got, out) == (code, "") and errors.count("\n") == 1, errors
    assert digest(Path()) == before
    return errors


def digest(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


# -- there and back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model, config", [(MONO, SMALL_24KHZ), (STEREO, SMALL_48KHZ), (MUSICGEN, SMALL_32KHZ)])
def test_a_file_in_blocks_is_the_file_as_a_whole(model: str, config: Any, run: Run, models: dict[str, Path]) -> None:
    """At the codec's own rate and channels: the same indices and the same sound as its `encode` and `decode` give."""
    sound = write("in.wav", tones(6.3, config.sample_rate, config.channels), config.sample_rate)
    done(run, "encode", "in.wav", "out.rgt", "--model", models[model])
    done(run, "decode", "out.rgt", "out.wav", "--model", models[model])

    codec = load_codec(str(models[model])).codec
    x = torch.from_numpy(sound.T.astype(np.float32))[None]
    codes = codec.encode(x, config.codebooks)
    tokens = read_tokens(Path("out.rgt"))
    assert torch.equal(codes.indices[0], torch.from_numpy(tokens.codes.astype(np.int64)))
    if codes.scales is not None:
        torch.testing.assert_close(codes.scales[0], torch.tensor(tokens.header.scales), rtol=1e-5, atol=0)
    decoded, rate = soundfile.read("out.wav", always_2d=True)
    expected = codec.decode(Codes(codes.indices, codes.scales))[0, :, : len(sound)].T.numpy()
    assert (rate, decoded.shape) == (config.sample_rate, sound.shape)
    assert np.abs(decoded - np.clip(expected, -1, 1)).max() < 1e-5
    assert soundfile.info("out.wav").subtype == "PCM_24"


@pytest.mark.parametrize(
    "rate, channels, model",
    [
        (8_000, 1, MONO),
        (11_025, 2, STEREO),
        (22_050, 2, MONO),
        (24_000, 1, STEREO),
        (44_100, 2, MONO),
        (48_000, 1, MONO),
        (96_000, 2, STEREO),
        (192_000, 1, MONO),
    ],
)
def test_any_rate_and_channels(rate: int, channels: int, model: str, run: Run, models: dict[str, Path]) -> None:
    """At the file's own rate, what comes back is as long as the file, to the sample."""
    sound = write("in.wav", tones(0.3131, rate, channels), rate)
    done(run, "encode", "in.wav", "out.rgt", "--model", models[model])
    header = read_header(Path("out.rgt"))
    assert (header.source_samples, header.source_sample_rate) == (len(sound), rate)
    assert header.samples == -(-len(sound) * header.sample_rate // rate)
    done(run, "decode", "out.rgt", "own.wav", "--model", models[model])
    done(run, "decode", "out.rgt", "same.flac", "--model", models[model], "--sample-rate", str(rate))
    own, same = soundfile.info("own.wav"), soundfile.info("same.flac")
    assert (own.samplerate, own.frames, own.channels) == (header.sample_rate, header.samples, header.channels)
    assert (same.samplerate, same.frames, same.channels) == (rate, len(sound), header.channels)


def test_channels_are_mixed_down_and_doubled(run: Run, models: dict[str, Path]) -> None:
    stereo = write("stereo.wav", tones(1.0, 24_000, 2), 24_000)
    write("mono.wav", stereo.mean(axis=1, keepdims=True), 24_000, "DOUBLE")
    write("both.wav", np.repeat(stereo[:, :1], 2, axis=1), 48_000)
    write("left.wav", stereo[:, :1], 48_000)
    for one, other, model in (("stereo", "mono", MONO), ("left", "both", STEREO)):
        done(run, "encode", f"{one}.wav", "one.rgt", "--model", models[model])
        done(run, "encode", f"{other}.wav", "other.rgt", "--model", models[model])
        assert np.array_equal(read_tokens(Path("one.rgt")).codes, read_tokens(Path("other.rgt")).codes)


def test_resampled_sound_reaches_the_codec(run: Run, models: dict[str, Path]) -> None:
    """Against the resampler on the whole file."""
    sound = write("in.wav", tones(4.0, 44_100, 1), 44_100)
    done(run, "encode", "in.wav", "out.rgt", "--model", models[MONO])
    x = torch.from_numpy(resample(sound, 44_100, 24_000).T.astype(np.float32))[None]
    expected = load_codec(str(models[MONO])).codec.encode(x).indices[0].numpy()
    assert np.array_equal(read_tokens(Path("out.rgt")).codes, expected)


@pytest.mark.parametrize("model", [MONO, STEREO])
@pytest.mark.parametrize("samples", [0, 1, 321])
def test_hardly_any_samples(samples: int, model: str, run: Run, models: dict[str, Path]) -> None:
    write("in.wav", np.zeros((samples, 1)), 48_000)
    done(run, "encode", "in.wav", "out.rgt", "--model", models[model])
    done(run, "info", "out.rgt")
    done(run, "decode", "out.rgt", "out.wav", "--model", models[model], "--sample-rate", "48000")
    assert soundfile.info("out.wav").frames == samples


@pytest.mark.parametrize("level", [0.0, 1.0, 3.0], ids=["silence", "full-scale", "beyond"])
@pytest.mark.parametrize("model", [MONO, STEREO])
def test_silence_and_clipping(level: float, model: str, run: Run, models: dict[str, Path]) -> None:
    square = level * np.sign(np.sin(np.arange(48_000) / 30))[:, None]
    write("in.wav", square, 48_000, "FLOAT")
    done(run, "encode", "in.wav", "out.rgt", "--model", models[model])
    done(run, "decode", "out.rgt", "out.wav", "--model", models[model])
    decoded = soundfile.read("out.wav")[0]
    assert np.isfinite(decoded).all() and np.abs(decoded).max() <= 1.0


def test_bandwidths(run: Run, models: dict[str, Path]) -> None:
    write("in.wav", tones(0.5, 24_000, 1), 24_000)
    for kbps, codebooks in (("1.5", 2), ("3", 4), ("6.0", 8)):
        done(run, "encode", "in.wav", f"{kbps}.rgt", "--model", models[MONO], "--bandwidth", kbps)
        assert read_header(Path(f"{kbps}.rgt")).codebooks == codebooks
        done(run, "decode", f"{kbps}.rgt", "out.wav", "--model", models[MONO])
    whole = read_tokens(Path("6.0.rgt")).codes
    assert np.array_equal(read_tokens(Path("1.5.rgt")).codes, whole[:2]), "fewer codebooks are the first of more"
    for wrong in ("5", "0", "-6", "nan", "1000"):
        message = refused(run, "encode", "in.wav", "out.rgt", "--model", models[MONO], "--bandwidth", wrong)
        assert "1.5, 3, 6" in message
    refused(run, "encode", "in.wav", "out.rgt", "--model", models[MONO], "--bandwidth", "much")


def test_a_rate_that_flac_does_not_have(run: Run, models: dict[str, Path]) -> None:
    write("in.wav", tones(0.1, 24_000, 1), 24_000)
    done(run, "encode", "in.wav", "out.rgt", "--model", models[MONO])
    said = refused(run, "decode", "out.rgt", "out.flac", "--model", models[MONO], "--sample-rate", "700000")
    assert "FLAC" in said and not Path("out.flac").exists()


def test_a_model_of_the_catalogue(run: Run, models: dict[str, Path], tmp_path: Path) -> None:
    """Installed as `models pull` does it: found by name, and again by the name in the token file."""
    write("in.wav", tones(0.5, 48_000, 2), 48_000)
    message = refused(run, "encode", "in.wav", "out.rgt", "--model", "encodec-48khz")
    assert "resonantgen models pull encodec-48khz" in message

    folder = tmp_path / "installed" / "encodec-48khz"
    folder.mkdir(parents=True)
    records = []
    for name in ("model.safetensors", "config.json"):
        content = (models[STEREO] / name).read_bytes()
        (folder / name).write_bytes(content)
        records.append(FileRecord(name, len(content), hashlib.sha256(content).hexdigest()))
    licence = model_info("encodec-48khz").licence
    manifest = {"format": FORMAT, "name": "encodec-48khz", "source": "", "repository": "", "commit": ""}
    write_manifest(Manifest(**manifest, licence=licence, files=records))  # type: ignore[arg-type]

    done(run, "encode", "in.wav", "out.rgt", "--model", "encodec-48khz")
    assert read_header(Path("out.rgt")).model == "encodec-48khz"
    done(run, "decode", "out.rgt", "out.wav")
    assert soundfile.info("out.wav").frames == 24_000
    (folder / "model.safetensors").write_bytes(b"cut off")
    assert "encodec-48khz" in refused(run, "decode", "out.rgt", "out.wav")


# -- what is said -----------------------------------------------------------------------------------------------------


def test_info(run: Run, models: dict[str, Path]) -> None:
    write("in.wav", tones(2.0, 44_100, 2), 44_100)
    said = done(run, "encode", "in.wav", "out.rgt", "--model", models[MONO])
    assert "out.rgt" in said and "0:02.0" in said and "6 kbit/s" in said
    shown = done(run, "info", "out.rgt")
    for words in ("0:02.0", "24000 Hz", "44100 Hz", "mono", "150 frames", "8 codebooks of 1024", "6 kbit/s"):
        assert words in shown
    document = json.loads(done(run, "info", "out.rgt", "--json"))
    wanted = {
        "model": "mono",
        "weights_sha256": load_codec(str(models[MONO])).weights_sha256,
        "seconds": 2.0,
        "samples": 48_000,
        "frames": 150,
        "frame_rate": 75.0,
        "bandwidth_kbps": 6.0,
        "codebooks": 8,
        "cardinality": 1024,
        "source_sample_rate": 44_100,
        "bytes": Path("out.rgt").stat().st_size,
    }
    assert {name: document[name] for name in wanted} == wanted


def test_json_of_what_was_done(run: Run, models: dict[str, Path]) -> None:
    write("in.wav", tones(1.0, 24_000, 1), 24_000)
    document = json.loads(done(run, "encode", "in.wav", "out.rgt", "--model", models[MONO], "--json"))
    assert document == json.loads(done(run, "info", "out.rgt", "--json"))
    document = json.loads(done(run, "decode", "out.rgt", "out.wav", "--model", models[MONO], "--json"))
    assert document == {"file": "out.wav", "sample_rate": 24_000, "channels": 1, "samples": 24_000}


def python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_without_torch(run: Run, models: dict[str, Path]) -> None:
    """`info` works; the others say what to install."""
    write("in.wav", tones(0.2, 24_000, 1), 24_000)
    done(run, "encode", "in.wav", "out.rgt", "--model", models[MONO])
    asked = f"--model {models[MONO]}"
    cases = ["info out.rgt", f"encode in.wav new.rgt {asked}", f"decode out.rgt new.wav {asked}"]
    code = (
        "import sys; sys.modules['torch'] = None; from resonantgen.cli import main\n"
        "for case in sys.argv[1:]: print(main(['codec', *case.split()]))\n"
    )
    shown = python(code, *cases)
    assert (shown.returncode, shown.stdout) == (0, done(run, "info", "out.rgt") + "0\n2\n2\n")
    for line in shown.stderr.splitlines():
        assert "torch" in line and "pip install 'resonantgen[neural]'" in line
    assert len(shown.stderr.splitlines()) == 2 and not Path("new.rgt").exists()


# -- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [MONO, STEREO])
def test_sound_that_cannot_be_encoded(model: str, run: Run, models: dict[str, Path]) -> None:
    broken = np.zeros((70_000, 1))
    broken[69_000] = np.nan
    write("nan.wav", broken, 48_000, "FLOAT")
    write("integers.wav", 20_000 * tones(0.1, 48_000, 1), 48_000, "FLOAT")
    write("surround.wav", np.zeros((100, 6)), 48_000)
    write("slow.wav", np.zeros((100, 1)), 100)
    write("whole.flac", tones(3.0, 48_000, 2), 48_000)
    Path("cut.flac").write_bytes(Path("whole.flac").read_bytes()[:100_000])
    Path("text.wav").write_text("no sound at all")
    Path("empty.wav").touch()
    Path("samples.raw").write_bytes(bytes(100))
    Path("folder.wav").mkdir()
    expected = {
        "nan.wav": "NaN or infinity) at 1.4 s",
        "integers.wav": "full scale",
        "surround.wav": "6 channels",
        "slow.wav": "sample rate of 100",
        "cut.flac": "damaged after",
        "text.wav": "no sound file",
        "empty.wav": "no sound file",
        "samples.raw": "no sound file",
        "folder.wav": "Is a directory",
        "nothing.wav": "There is no file",
    }
    for name, words in expected.items():
        message = refused(run, "encode", name, "out.rgt", "--model", models[model])
        assert name in message and words in message


def test_places_that_cannot_be_written(run: Run, models: dict[str, Path]) -> None:
    write("in.wav", tones(0.2, 24_000, 1), 24_000)
    done(run, "encode", "in.wav", "in.rgt", "--model", models[MONO])
    Path("folder.rgt").mkdir()
    Path("folder.wav").mkdir()
    for command, source, kind in (("encode", "in.wav", "rgt"), ("decode", "in.rgt", "wav")):
        asked = ("--model", models[MONO])
        assert "parent folder" in refused(run, command, source, f"nowhere/out.{kind}", *asked)
        assert "is a folder" in refused(run, command, source, f"folder.{kind}", *asked)
        assert "a name that ends in" in refused(run, command, source, "out.mp3", *asked)
    assert "sample rate of 3" in refused(
        run, "decode", "in.rgt", "o.wav", "--model", models[MONO], "--sample-rate", "3"
    )


def test_what_is_read_is_not_written_over(run: Run, models: dict[str, Path]) -> None:
    write("in.wav", tones(0.2, 24_000, 1), 24_000)
    done(run, "encode", "in.wav", "tokens.rgt", "--model", models[MONO])
    Path("in.wav").rename("sound.rgt")
    Path("tokens.rgt").rename("tokens.wav")
    Path("linked.wav").hardlink_to("tokens.wav")
    asked = ("--model", models[MONO])
    for words in (("encode", "sound.rgt", "sound.rgt"), ("decode", "tokens.wav", "./linked.wav")):
        assert "is the file that is read" in refused(run, *words, *asked)
    assert "0 is not in the range" in refused(run, "decode", "tokens.wav", "o.wav", *asked, "--sample-rate", "0")


def test_models_that_are_none(run: Run, models: dict[str, Path]) -> None:
    write("in.wav", tones(0.2, 24_000, 1), 24_000)
    Path("bad.th").write_bytes(models[MONO].read_bytes()[:5_000])
    Path("folder").mkdir()
    expected = {
        "nothing.th": "no file or folder",
        "encodec24": "Did you mean encodec-24khz",
        "bad.th": "damaged",
        "in.wav": "no weights",
        "folder": "no weights",
    }
    for model, words in expected.items():
        assert words in refused(run, "encode", "in.wav", "out.rgt", "--model", model)
    assert "device" in refused(run, "encode", "in.wav", "out.rgt", "--model", models[MONO], "--device", "abacus")


def test_tokens_of_another_model(run: Run, models: dict[str, Path], tmp_path: Path) -> None:
    """The same indices are other sound with other weights."""
    write("in.wav", tones(0.2, 24_000, 1), 24_000)
    done(run, "encode", "in.wav", "out.rgt", "--model", models[MONO])
    other = save_encodec(SMALL_24KHZ, tmp_path / "other.th", seed=1)
    for model in (other, models[STEREO]):
        assert "encoded with the weights" in refused(run, "decode", "out.rgt", "out.wav", "--model", model)
    assert "Say where it is: --model" in refused(run, "decode", "out.rgt", "out.wav")


def test_token_files_that_are_none(run: Run, models: dict[str, Path]) -> None:
    write("in.wav", tones(0.2, 24_000, 1), 24_000)
    done(run, "encode", "in.wav", "out.rgt", "--model", models[MONO])
    Path("cut.rgt").write_bytes(Path("out.rgt").read_bytes()[:-40])
    for name, words in {"in.wav": "no token file", "cut.rgt": "cut off", "nothing.rgt": "no file"}.items():
        assert words in refused(run, "decode", name, "new.wav", "--model", models[MONO])
        assert words in refused(run, "info", name)


def test_what_was_there_stays_when_it_fails(run: Run, models: dict[str, Path]) -> None:
    """An older file of the same name is replaced by a whole one, or not at all."""
    write("in.wav", tones(0.2, 24_000, 1), 24_000)
    write("bad.wav", np.full((100_000, 1), np.inf), 24_000, "FLOAT")
    done(run, "encode", "in.wav", "out.rgt", "--model", models[MONO])
    refused(run, "encode", "bad.wav", "out.rgt", "--model", models[MONO])
    write("in.wav", tones(0.4, 24_000, 1), 24_000)
    done(run, "encode", "in.wav", "out.rgt", "--model", models[MONO])
    assert read_header(Path("out.rgt")).seconds == 0.4
    assert sorted(path.name for path in Path().iterdir()) == ["bad.wav", "in.wav", "out.rgt"]


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_ctrl_c_leaves_nothing(
    command: str, run: Run, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("in.wav", tones(9.0, 24_000, 1), 24_000)
    done(run, "encode", "in.wav", "in.rgt", "--model", models[MONO])
    calls: list[Path] = []

    def interrupted(*arguments: Any, **options: Any) -> None:
        calls.extend(Path().glob(".*.part"))
        raise KeyboardInterrupt

    writer = {"encode": (NetworkEncoder, "finish"), "decode": (soundfile.SoundFile, "write")}[command]
    monkeypatch.setattr(*writer, interrupted)
    source, target = {"encode": ("in.wav", "out.rgt"), "decode": ("in.rgt", "out.wav")}[command]
    message = refused(run, command, source, target, "--model", models[MONO], code=130)
    assert message == "Interrupted. Nothing was written.\n"
    assert len(calls) == 1, "it was under way"


def test_a_full_disk(run: Run, models: dict[str, Path]) -> None:
    """As a limit on file sizes stands for it."""
    pytest.importorskip("resource", reason="POSIX only: Windows has no limits on file sizes")
    write("in.wav", tones(9.0, 24_000, 1), 24_000)
    done(run, "encode", "in.wav", "in.rgt", "--model", models[MONO])
    cases = [("1000", "encode", "in.wav", "out.rgt"), ("100000", "decode", "in.rgt", "out.wav")]
    limited = (
        "import resource, sys; from resonantgen.cli import main\n"
        "import resonantgen.codecs.transcode\n"
        "most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "for case in sys.argv[2:]:\n"
        "    size, *words = case.split()\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), most))\n"
        "    print(main(['codec', *words, '--model', sys.argv[1]]))\n"
    )
    before = digest(Path())
    failed = python(limited, models[MONO], *(" ".join(case) for case in cases))
    assert (failed.returncode, failed.stdout) == (0, "2\n2\n"), failed.stderr
    for line, (_, _, _, target) in zip(failed.stderr.splitlines(), cases, strict=True):
        assert target in line and "cannot be" in line
    assert digest(Path()) == before


def test_a_long_file_takes_little_memory(run: Run, models: dict[str, Path]) -> None:
    """A minute of stereo at 48 kHz is 46 MB as it is read; ten seconds before it show what everything else takes."""
    pytest.importorskip("resource", reason="POSIX only: it tells the memory that was used")
    write("short.wav", np.zeros((480_000, 2)), 48_000)
    write("long.wav", np.zeros((2_880_000, 2)), 48_000)
    watched = (
        "import resource, sys; from resonantgen.cli import main\n"
        "unit = 2**20 if sys.platform == 'darwin' else 2**10\n"
        "def peak_mb(*words):\n"
        "    assert main(['codec', *words, '--model', sys.argv[1]]) == 0\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit\n"
        "for command, source, target in (('encode', 'wav', 'rgt'), ('decode', 'rgt', 'wav')):\n"
        "    before = peak_mb(command, 'short.' + source, 'short.' + target)\n"
        "    print('grew by', peak_mb(command, 'long.' + source, 'long.' + target) - before)\n"
    )
    run_there = python(watched, models[MONO])
    assert run_there.returncode == 0, run_there.stderr
    grown = [float(line.split()[-1]) for line in run_there.stdout.splitlines() if line.startswith("grew by")]
    assert len(grown) == 2 and max(grown) < 20, grown
