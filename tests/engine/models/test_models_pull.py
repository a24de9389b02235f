"""Models are fetched from a hub on this machine, through what networks and disks do."""

from __future__ import annotations

import errno
import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from model_server import API, ModelServer, Trouble, tiny_model
from resonantgen import models
from resonantgen.errors import BadValue, DownloadFailed, ModelDamaged, ModelNotFound
from resonantgen.models import download, folder
from resonantgen.models.hub import choose_weights
from resonantgen.models.pull import SPARE_BYTES, pull
from resonantgen.models.web import PAUSES_SECONDS, Wire

NAME = "musicgen-small"
INFO = models.model_info(NAME)
BIG = "model.safetensors"
WEIGHTS = random.Random(5).randbytes(700_000)
NO_LISTS = [b"", b"<html>Log in</html>", b"[]", b'{"sha": 5}', b'{"sha": "main", "siblings": []}']


class Watching:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.total = 0
        self.done: list[int] = []
        self.files: list[str] = []
        self.checks = 0

    def checking(self) -> None:
        self.checks += 1

    def begin(self, total: int) -> None:
        self.total = total

    def at(self, file: str, done: int) -> None:
        self.done.append(done)
        self.files.append(file)


class Hub(ModelServer):
    """The server, and a way to pull from it that does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []
        self.waits: list[str] = []

    def pull(self, watch: Watching | None = None, **options: Any) -> models.Installed:
        wire = Wire(sleep=self.slept.append, timeout_seconds=10.0, on_wait=lambda reason, _: self.waits.append(reason))
        return pull(NAME, watch or Watching(), wire, **options)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as hub:
        monkeypatch.setenv("RESONANTGEN_MODELS", str(tmp_path / "models"))
        monkeypatch.setenv("RESONANTGEN_MODEL_HUB", hub.address)
        # a proxy that is not there: what is on this machine must not go through it
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.delenv("no_proxy", raising=False)
        hub.publish(INFO.repository, tiny_model(INFO, {BIG: WEIGHTS}))
        yield hub


def place() -> Path:
    return models.models_folder() / NAME


def parts() -> list[Path]:
    return sorted(place().glob("*.part"))


def assert_whole(found: models.Installed) -> None:
    assert [file.name for file in found.files] == [*INFO.files, BIG]
    assert (found.folder / BIG).read_bytes() == WEIGHTS
    assert {path.name for path in found.folder.iterdir()} == {*INFO.files, BIG, "manifest.json"}
    for file in found.files:
        content = (found.folder / file.name).read_bytes()
        assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


# -- as it should be --------------------------------------------------------------------------------------------------


def test_a_model_comes_whole_and_the_manifest_says_from_where(hub: Hub) -> None:
    commit = hub.find(INFO.repository, "main")
    watch = Watching()
    found = hub.pull(watch)
    assert_whole(found)
    assert commit is not None
    assert found.manifest.commit == commit[0]
    assert (found.manifest.source, found.manifest.repository) == (hub.address, INFO.repository)
    assert found.manifest.licence == INFO.licence
    assert found.weights == (found.folder / BIG,)
    assert watch.done == sorted(watch.done) and watch.done[-1] == watch.total == sum(file.size for file in found.files)
    assert hub.slept == [] and watch.checks == 0
    assert models.installed(NAME) == found and models.is_installed(NAME)
    assert all(asked.path.startswith((API, "/facebook/", "/cdn/facebook/")) for asked in hub.asked)
    assert not any("README" in asked.path for asked in hub.asked)  # only what it needs


def test_one_checksum_stands_for_the_whole_model(hub: Hub) -> None:
    found = hub.pull()
    first = found.sha256
    assert len(first) == 64 and models.installed(NAME).sha256 == first
    folder.remove(NAME)
    hub.publish(INFO.repository, tiny_model(INFO, {BIG: WEIGHTS[:-1] + b"x"}))
    assert hub.pull().sha256 != first


def test_what_is_here_and_right_needs_no_network(hub: Hub) -> None:
    hub.pull()
    asked = len(hub.asked)
    hub.publish(INFO.repository, tiny_model(INFO, {BIG: b"newer weights"}))
    assert_whole(hub.pull())
    assert len(hub.asked) == asked


def test_shards_come_with_their_index(hub: Hub) -> None:
    shards = {f"model-0000{i}-of-00003.safetensors": bytes([i]) * (1000 + i) for i in (1, 2, 3)}
    index = {"model.safetensors.index.json": b'{"weight_map": {}}', "pytorch_model.bin": b"a pickle"}
    hub.publish(INFO.repository, tiny_model(INFO, {**shards, **index, "model.fp32.safetensors": b"larger"}))
    # the single pickle is second best to all that is safetensors
    found = hub.pull()
    assert [path.name for path in found.weights] == sorted(shards)
    assert {file.name for file in found.files} == {*INFO.files, *shards, "model.safetensors.index.json"}


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        (["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["pytorch_model.bin"], ["pytorch_model.bin"]),
        (
            ["pytorch_model.bin.index.json", "pytorch_model-00002-of-00002.bin", "pytorch_model-00001-of-00002.bin"],
            ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"],
        ),
        (["model.safetensors.index.json", "model-00001-of-00002.safetensors"], None),  # a shard is missing
        (["model-00001-of-00001.safetensors"], None),  # no index
        (["state_dict.bin", "../model.safetensors", "model.safetensors/x"], None),
    ],
    ids=["safetensors-first", "pickle", "sharded-pickle", "shard-missing", "no-index", "unknown-layout"],
)
def test_weights_are_chosen_among_the_published_layouts(there: list[str], chosen: list[str] | None) -> None:
    if chosen is None:
        with pytest.raises(DownloadFailed, match="no weights in a layout"):
            choose_weights(there, INFO)
    else:
        assert choose_weights(there, INFO) == chosen


# -- cuts and resuming ------------------------------------------------------------------------------------------------


def test_after_a_cut_only_the_rest_is_asked_for(hub: Hub) -> None:
    hub.trouble(BIG, Trouble(cut_after=300_000))
    assert_whole(hub.pull())
    first, second = hub.asked_for(BIG)
    assert (first.range, first.if_range) == (None, None)
    assert second.range == "bytes=300000-"
    assert second.if_range == f'"{hashlib.sha256(WEIGHTS).hexdigest()[:16]}"'
    assert hub.slept == [PAUSES_SECONDS[0]] and hub.waits == ["the connection was cut"]


def test_many_cuts_are_endured_as_long_as_each_try_gains(hub: Hub) -> None:
    cuts = 3 * len(PAUSES_SECONDS)
    hub.trouble(BIG, *[Trouble(cut_after=40_000) for _ in range(cuts)])
    assert_whole(hub.pull())
    assert [asked.range for asked in hub.asked_for(BIG)[1:]] == [f"bytes={40_000 * (i + 1)}-" for i in range(cuts)]
    assert hub.slept == [PAUSES_SECONDS[0]] * cuts


def test_tries_that_gain_nothing_end_it_and_the_next_pull_goes_on(hub: Hub) -> None:
    hub.trouble(BIG, Trouble(cut_after=100_000), *[Trouble(cut_after=0)] * len(PAUSES_SECONDS))
    with pytest.raises(DownloadFailed) as caught:
        hub.pull()
    assert str(caught.value) == (
        "The connection was cut, 6 times in a row. Go on with: resonantgen models pull musicgen-small"
    )
    assert hub.slept == list(PAUSES_SECONDS)
    assert [path.stat().st_size for path in parts()] == [100_000]
    with pytest.raises(ModelNotFound):
        models.installed(NAME)
    watch = Watching()
    assert_whole(hub.pull(watch))
    assert hub.asked_for(BIG)[-1].range == "bytes=100000-"
    assert len(hub.asked_for("config.json")) == 1  # it was there, and right
    assert watch.done[0] >= 100_000 and watch.checks == 1


def test_a_crash_at_the_other_end_loses_no_more_than_was_in_flight(hub: Hub) -> None:
    hub.trouble(BIG, Trouble(cut_after=300_000, reset=True))
    assert_whole(hub.pull())
    second = hub.asked_for(BIG)[1]
    start = int((second.range or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    assert 0 <= start <= 300_000


def test_a_server_that_ignores_ranges_makes_it_start_anew(hub: Hub) -> None:
    hub.trouble(BIG, Trouble(cut_after=300_000), Trouble(ignore_range=True))
    watch = Watching()
    assert_whole(hub.pull(watch))
    assert [asked.range for asked in hub.asked_for(BIG)] == [None, "bytes=300000-"]
    assert watch.done != sorted(watch.done)  # it was told that it went back
    assert watch.done[-1] == watch.total


def test_a_server_that_ignores_ranges_and_cuts_each_time_is_given_up(hub: Hub) -> None:
    hub.trouble(BIG, *[Trouble(cut_after=300_000, ignore_range=True)] * 20)
    with pytest.raises(DownloadFailed, match="6 times in a row"):
        hub.pull()


@pytest.mark.parametrize("extent", ["bytes 5-699999/700000", "bytes 300000-699999/700001", "nonsense", ""])
def test_another_range_than_was_asked_for_makes_it_start_anew(hub: Hub, extent: str) -> None:
    hub.trouble(BIG, Trouble(cut_after=300_000), Trouble(extent=extent))
    assert_whole(hub.pull())
    assert [asked.range for asked in hub.asked_for(BIG)] == [None, "bytes=300000-", None]


def test_a_file_that_changed_between_tries_starts_anew_and_is_refused_as_it_is_another(hub: Hub) -> None:
    hub.trouble(BIG, Trouble(cut_after=300_000), Trouble(content=bytes(len(WEIGHTS))))
    with pytest.raises(DownloadFailed, match="wrong checksum"):
        hub.pull()
    assert hub.asked_for(BIG)[1].range == "bytes=300000-"  # answered with the whole file: If-Range did not hold
    assert parts() == [] and not (place() / BIG).exists()
    assert_whole(hub.pull())


def test_a_file_that_became_shorter_between_tries_is_refused(hub: Hub) -> None:
    hub.trouble(BIG, Trouble(cut_after=300_000), Trouble(status=416), Trouble(content=WEIGHTS[:200_000]))
    with pytest.raises(DownloadFailed, match=r"has 200 kB and should have 700 kB"):
        hub.pull()


def test_a_new_commit_between_pulls_starts_its_files_anew(hub: Hub) -> None:
    hub.trouble(BIG, Trouble(cut_after=300_000), *[Trouble(cut_after=0)] * 5)
    with pytest.raises(DownloadFailed):
        hub.pull()
    newer = random.Random(6).randbytes(500_000)
    hub.publish(INFO.repository, tiny_model(INFO, {BIG: newer}))
    found = hub.pull()
    assert (found.folder / BIG).read_bytes() == newer
    assert hub.asked_for(BIG)[-1].range is None
    assert parts() == []  # the old one is not kept for ever


def test_a_part_that_was_spoiled_on_disk_is_fetched_again_from_the_start(hub: Hub) -> None:
    hub.trouble(BIG, Trouble(cut_after=300_000), *[Trouble(cut_after=0)] * 5)
    with pytest.raises(DownloadFailed):
        hub.pull()
    (part,) = parts()
    part.write_bytes(bytes(300_000))
    assert_whole(hub.pull())
    assert [asked.range for asked in hub.asked_for(BIG)[-2:]] == ["bytes=300000-", None]


@pytest.mark.parametrize("size", [len(WEIGHTS), len(WEIGHTS) + 5])
def test_a_part_that_is_as_long_as_the_file_or_longer(hub: Hub, size: int) -> None:
    place().mkdir(parents=True)
    right = WEIGHTS[:size].ljust(size, b"x")
    (place() / f"{BIG}.{hashlib.sha256(WEIGHTS).hexdigest()[:12]}.part").write_bytes(right)
    assert_whole(hub.pull())
    assert len(hub.asked_for(BIG)) == (0 if size == len(WEIGHTS) else 1)


def test_a_body_without_a_length_is_read_to_its_end(hub: Hub) -> None:
    hub.trouble(BIG, Trouble(no_length=True))
    assert_whole(hub.pull())


def test_an_empty_file_is_a_file(hub: Hub) -> None:
    hub.publish(INFO.repository, {**tiny_model(INFO, {BIG: WEIGHTS}), "tokenizer_config.json": b""})
    assert_whole(hub.pull())
    assert (place() / "tokenizer_config.json").read_bytes() == b""


# -- what servers answer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [API, BIG, "config.json"], ids=["list", "big", "small"])
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_trouble_is_tried_again(hub: Hub, name: str, status: int) -> None:
    hub.trouble(name, Trouble(status=status), Trouble(status=status))
    assert_whole(hub.pull())
    assert hub.slept == [1.0, 2.0]
    assert all(str(status) in reason for reason in hub.waits)


def test_a_server_may_ask_for_a_pause_but_not_for_any(hub: Hub) -> None:
    hub.trouble(BIG, *[Trouble(status=429, retry_after=after) for after in ("40", "86400", "soon", "0")])
    assert_whole(hub.pull())
    assert hub.slept == [40.0, 120.0, 4.0, 8.0]


@pytest.mark.parametrize("name", [API, BIG], ids=["list", "file"])
@pytest.mark.parametrize("status", [401, 403, 404, 410, 451])
def test_a_lasting_refusal_is_not_tried_again(hub: Hub, name: str, status: int) -> None:
    hub.trouble(name, Trouble(status=status))
    with pytest.raises(DownloadFailed, match=f"answered {status} ") as caught:
        hub.pull()
    assert len(str(caught.value).splitlines()) == 1
    assert hub.slept == [] and not models.is_installed(NAME)


def test_wrong_bytes_are_removed_and_never_installed(hub: Hub) -> None:
    hub.trouble(BIG, Trouble(content=bytes(len(WEIGHTS))))
    with pytest.raises(DownloadFailed) as caught:
        hub.pull()
    assert str(caught.value) == (
        "model.safetensors came with a wrong checksum and was removed. "
        "Go on with: resonantgen models pull musicgen-small"
    )
    assert not (place() / BIG).exists() and parts() == [] and not models.is_installed(NAME)
    assert_whole(hub.pull())


def test_wrong_bytes_of_a_small_file_are_seen_too(hub: Hub) -> None:
    right = tiny_model(INFO, {})["config.json"]
    hub.trouble("config.json", Trouble(content=right.replace(b"file", b"fine")))
    with pytest.raises(DownloadFailed, match=r"config\.json came with a wrong checksum"):
        hub.pull()


@pytest.mark.parametrize(
    "content", [WEIGHTS[:-1], WEIGHTS + b"x", b"<html>Please log in</html>"], ids=["short", "long", "portal"]
)
def test_a_file_of_another_size_is_refused_at_once(hub: Hub, content: bytes) -> None:
    hub.trouble(BIG, Trouble(content=content))
    with pytest.raises(DownloadFailed, match="and should have 700 kB"):
        hub.pull()
    assert hub.slept == []


def test_a_body_that_does_not_end_is_refused(hub: Hub) -> None:
    hub.trouble(BIG, Trouble(content=WEIGHTS + b"x", no_length=True))
    with pytest.raises(DownloadFailed, match="too many bytes"):
        hub.pull()
    assert parts() == []


@pytest.mark.parametrize(
    "content", [b"", b"<html>Log in</html>", b"[]", b'{"sha": 5}', b'{"sha": "main", "siblings": []}']
)
def test_an_answer_that_is_no_list_is_refused(hub: Hub, content: bytes) -> None:
    hub.trouble(API, Trouble(content=content))
    with pytest.raises(DownloadFailed, match=r"does not answer as a model hub|did not say which commit"):
        hub.pull()


@pytest.mark.parametrize(
    "location", ["http://example.com/x", "file:///etc/passwd", "ftp://127.0.0.1/x", "http://127.0.0.1.example.com/x"]
)
def test_a_file_may_only_be_sent_on_to_where_it_is_safe(hub: Hub, location: str) -> None:
    hub.trouble("config.json", Trouble(location=location))
    with pytest.raises(DownloadFailed, match=r"not HTTPS|not allowed"):
        hub.pull()


@pytest.mark.parametrize("address", ["http://example.com", "ftp://127.0.0.1", "hub", "https://", "http://[::1"])
def test_a_mirror_is_https_or_on_this_machine(hub: Hub, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESONANTGEN_MODEL_HUB", address)
    with pytest.raises(BadValue, match="https://"):
        hub.pull()


def test_a_hub_that_is_not_there(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESONANTGEN_MODEL_HUB", "http://127.0.0.1:9")  # the port for what is discarded
    with pytest.raises(DownloadFailed, match=r"127\.0\.0\.1:9 cannot be reached .*4 times in a row"):
        hub.pull()
    assert hub.slept == [1.0, 2.0, 4.0]


def test_a_silent_server_is_not_waited_for_for_ever(hub: Hub) -> None:
    gate = threading.Event()
    hub.trouble(BIG, Trouble(cut_after=300_000, gate=gate))
    wire = Wire(sleep=hub.slept.append, timeout_seconds=0.5, on_wait=lambda reason, _: hub.waits.append(reason))
    try:
        assert_whole(pull(NAME, Watching(), wire))
    finally:
        gate.set()
    assert hub.waits and all("no answer in time" in reason for reason in hub.waits)


# -- any of it at once ------------------------------------------------------------------------------------------------


def any_trouble(dice: random.Random) -> Trouble:
    cut = dice.randrange(len(WEIGHTS))
    return dice.choice(
        [
            Trouble(),
            Trouble(cut_after=cut),
            Trouble(cut_after=cut, reset=True),
            Trouble(cut_after=cut, ignore_range=True),
            Trouble(cut_after=cut, no_length=True),
            Trouble(cut_after=cut, content=dice.randbytes(len(WEIGHTS))),
            Trouble(content=dice.randbytes(len(WEIGHTS))),
            Trouble(content=WEIGHTS[:cut]),
            Trouble(extent=f"bytes {cut}-{cut + 5}/*"),
            Trouble(status=dice.choice([404, 416, 429, 503])),
        ]
    )


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_nothing_wrong_is_ever_installed(hub: Hub, seed: int) -> None:
    dice = random.Random(seed)
    hub.trouble(BIG, *[any_trouble(dice) for _ in range(20)])
    for _ in range(21):  # each pull meets one trouble at least
        try:
            found = hub.pull()
        except DownloadFailed:
            assert not models.is_installed(NAME)
            continue
        assert_whole(found)
        if dice.random() < 0.7:
            folder.remove(NAME)
    assert_whole(hub.pull())


# -- malice -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../../escaped.safetensors", "/tmp/escaped.safetensors", "a/b.safetensors", "model.safetensors\n", ".lock"]
)
def test_names_from_the_network_make_no_files(hub: Hub, name: str, tmp_path: Path) -> None:
    hub.publish(INFO.repository, {**tiny_model(INFO, {BIG: WEIGHTS}), name: b"evil"})
    assert_whole(hub.pull())
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.parametrize("commit", ["../../../etc", "0" * 39, "0" * 40 + "/..", "X" * 40, "0" * 40 + "\n"])
def test_a_commit_is_forty_digits(hub: Hub, commit: str) -> None:
    hub.trouble(API, Trouble(content=msgspec.json.encode({"sha": commit, "siblings": []})))
    with pytest.raises(DownloadFailed, match="which commit"):
        hub.pull()


@pytest.mark.parametrize(
    "sibling",
    [
        {"size": 5},
        {"size": 5, "blobId": "abc"},
        {"size": 5, "blobId": "z" * 40},
        {"blobId": "0" * 40},
        {"size": -1, "blobId": "0" * 40},
        {"size": 5, "blobId": "0" * 40, "lfs": {"sha256": "../" * 20 + "abcd", "size": 5}},
    ],
    ids=["none", "short", "no-digits", "no-size", "negative", "path"],
)
def test_a_file_without_a_checksum_is_not_fetched(hub: Hub, sibling: dict[str, object]) -> None:
    names = [*INFO.files, BIG]
    siblings = [{"rfilename": name, **sibling} for name in names]
    hub.trouble(API, Trouble(content=msgspec.json.encode({"sha": "0" * 40, "siblings": siblings})))
    with pytest.raises(DownloadFailed, match="no checksum"):
        hub.pull()


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/b", "", "..", ".hidden"])
def test_a_manifest_that_names_files_elsewhere_is_damaged(hub: Hub, name: str) -> None:
    hub.pull()
    path = place() / "manifest.json"
    manifest = msgspec.json.decode(path.read_bytes())
    manifest["files"][0]["name"] = name
    path.write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(ModelDamaged, match="models pull musicgen-small"):
        models.installed(NAME)
    assert_whole(hub.pull())


# -- disks ------------------------------------------------------------------------------------------------------------


def test_room_is_looked_for_before_anything_comes(hub: Hub) -> None:
    with pytest.raises(DownloadFailed, match=r"needs 70\d kB and .* has 12 MB free\. Make room"):
        hub.pull(free_bytes=lambda _: 12_000_000)
    assert hub.asked_for(BIG) == []


def test_what_has_come_needs_no_room_again(hub: Hub) -> None:
    hub.trouble(BIG, Trouble(cut_after=600_000), *[Trouble(cut_after=0)] * 5)
    with pytest.raises(DownloadFailed):
        hub.pull()
    assert_whole(hub.pull(free_bytes=lambda _: SPARE_BYTES + 100_000))


def test_a_disk_that_fills_up_keeps_what_has_come(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """A file on a disk with room for 400 000 bytes more."""

        def __init__(self, file: Any) -> None:
            self._file, self._room = file, 400_000

        def write(self, piece: bytes) -> int:
            if len(piece) > self._room:
                raise OSError(errno.ENOSPC, "No space left on device")
            self._room -= len(piece)
            return int(self._file.write(piece))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    begin: Callable[..., None] = download._Part.__init__

    def on_a_full_disk(part: Any, *arguments: Any) -> None:
        begin(part, *arguments)
        part._file = Full(part._file)

    with monkeypatch.context() as patch:
        patch.setattr(download._Part, "__init__", on_a_full_disk)
        with pytest.raises(DownloadFailed, match=r"No space left on device\. What has come is kept"):
            hub.pull()
    (part,) = parts()
    kept = part.stat().st_size
    assert 0 < kept <= 400_000
    assert_whole(hub.pull())
    assert hub.asked_for(BIG)[-1].range == f"bytes={kept}-"


# -- one at a time ----------------------------------------------------------------------------------------------------


def test_two_pulls_at_once_are_one(hub: Hub) -> None:
    gate = threading.Event()
    hub.trouble(BIG, Trouble(cut_after=300_000, gate=gate))
    found: list[models.Installed] = []
    first = threading.Thread(target=lambda: found.append(hub.pull()))
    first.start()
    try:
        assert hub.halfway.wait(30)
        for change in (hub.pull, lambda: folder.remove(NAME)):
            with pytest.raises(DownloadFailed, match="being fetched by another process"):
                change()
    finally:
        gate.set()
        first.join()
    assert_whole(found[0])


# -- what is here -----------------------------------------------------------------------------------------------------


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "trouble"),
    [(Path.unlink, "is missing"), (lambda path: path.write_bytes(WEIGHTS[:9]), "has 9 bytes and should have 700 kB")],
    ids=["missing", "short"],
)
def test_a_file_of_another_size_is_seen_without_reading(hub: Hub, harm: Callable[[Path], object], trouble: str) -> None:
    found = hub.pull()
    harm(found.folder / BIG)
    with pytest.raises(ModelDamaged) as caught:
        models.installed(NAME)
    assert str(caught.value) == (f"{BIG} of {NAME} {trouble}. Fetch it again: resonantgen models pull musicgen-small")
    assert [verdict.trouble for verdict in folder.verify(NAME)] == [""] * len(INFO.files) + [trouble]
    assert_whole(hub.pull())


def test_one_wrong_bit_is_found_by_verify_and_put_right_by_a_pull_of_the_same_commit(hub: Hub) -> None:
    found = hub.pull()
    spoil(found.folder / BIG)
    assert models.installed(NAME) == found  # looking is quick, and does not see it
    assert {verdict.file: verdict.trouble for verdict in folder.verify(NAME) if verdict.trouble} == {
        BIG: "does not match its checksum"
    }
    hub.publish(INFO.repository, tiny_model(INFO, {BIG: b"newer weights"}))
    asked = len(hub.asked)
    again = hub.pull()
    assert_whole(again)
    assert again.manifest == found.manifest
    assert {asked.path.rpartition("/")[2] for asked in hub.asked[asked + 1 :]} == {BIG}  # the others were right


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"format": 2}', b"null"])
def test_a_manifest_that_cannot_be_read(hub: Hub, content: bytes) -> None:
    hub.pull()
    (place() / "manifest.json").write_bytes(content)
    with pytest.raises(ModelDamaged, match="models pull musicgen-small"):
        models.installed(NAME)
    assert [verdict.file for verdict in folder.verify(NAME) if verdict.trouble] == ["manifest.json"]
    assert_whole(hub.pull())


def test_a_models_folder_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(folder.MODELS_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(BadValue, match=f"{folder.MODELS_VARIABLE} names .*, which is no folder"):
        models.installed(NAME)


def test_removing_takes_everything_of_a_model(hub: Hub) -> None:
    hub.pull()
    folder.remove(NAME)
    assert not place().exists()
    with pytest.raises(ModelNotFound):
        folder.remove(NAME)
    with pytest.raises(ModelNotFound):
        list(folder.verify(NAME))
