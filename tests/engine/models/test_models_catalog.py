"""The catalogue of models, and what is said of those that are not on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from resonantgen import models
from resonantgen.errors import BadValue, ModelNotFound, PresetError
from resonantgen.models import catalog as catalog_module
from resonantgen.models.catalog import bytes_text, catalog
from resonantgen.presets import presets_folder


@pytest.mark.parametrize("name", sorted(catalog()))
def test_every_model_says_what_a_person_has_to_know(name: str) -> None:
    info = models.model_info(name)
    assert info.name == name and info.text and info.size_mb > 0
    assert info.licence.url.startswith("https://") and info.licence.means.endswith(".")
    assert info.is_shipped == (name == "resonant")
    assert info.is_shipped or ("config.json" in info.files and info.repository.startswith("facebook/"))
    assert info.sample_rate == {"resonant": 24_000, "encodec-24khz": 24_000, "encodec-48khz": 48_000}.get(name, 32_000)
    assert info.channels == (2 if "stereo" in name or "48" in name else 1)


@pytest.mark.parametrize("name", sorted(name for name in catalog() if name.startswith("musicgen")))
def test_musicgen_is_not_for_paid_work_and_says_so(name: str) -> None:
    licence = models.model_info(name).licence
    assert licence.name == "CC-BY-NC 4.0"
    assert "non-commercial" in licence.means and "pay" in licence.means


def test_an_unknown_key_in_a_model_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (presets_folder() / "models" / "musicgen-small.toml").read_text(encoding="utf-8")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.toml").write_text(f'colour = "red"\n{text}', encoding="utf-8")
    monkeypatch.setattr(catalog_module, "presets_folder", lambda: tmp_path)
    with pytest.raises(PresetError, match=r"mine\.toml:1: colour: .*unknown field"):
        catalog.__wrapped__()


def test_what_is_not_here_says_how_to_fetch_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESONANTGEN_MODELS", str(tmp_path))
    with pytest.raises(ModelNotFound) as caught:
        models.installed("musicgen-small")
    assert str(caught.value) == (
        "musicgen-small is not on this machine. Fetch it with: resonantgen models pull musicgen-small "
        "(2.4 GB, CC-BY-NC 4.0)."
    )


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("musicgen_small", "Did you mean musicgen-small"),
        ("MusicGen-Melody", "Did you mean musicgen-melody"),
        ("encodec-32khz", "Did you mean encodec-"),
        ("zzz", "Known: encodec-48khz, "),
        ("../../etc", "Known: "),
        ("", "Known: "),
    ],
)
def test_an_unknown_name_gets_the_nearest_ones(given: str, hint: str) -> None:
    known = hint.replace("encodec-48khz, ", next(iter(catalog())) + ", ")
    with pytest.raises(BadValue) as caught:
        models.installed(given)
    assert known in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (812, "812 bytes"), (93_100_000, "93 MB"), (2_360_000_000, "2.4 GB")]
)
def test_sizes_read_as_on_the_box(count: int, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, ".local/share/resonantgen/models"),
        ("linux", {"XDG_DATA_HOME": "data"}, "data/resonantgen/models"),
        ("darwin", {}, "Library/Application Support/resonantgen/models"),
        ("win32", {"LOCALAPPDATA": "local"}, "local/ResonantGen/models"),
        ("linux", {"RESONANTGEN_MODELS": "mine"}, "mine"),
    ],
)
def test_models_lie_among_the_users_data(
    platform: str, variables: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RESONANTGEN_MODELS", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert models.models_folder() == tmp_path / expected
