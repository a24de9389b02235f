"""CURVE keys: who has them may come in, who does not is told so."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import zmq

from bridge_fakes import FakeEngine
from bridge_serving import HANG_SECONDS, Peer, run, serving
from resonantgen.errors import KeysError, StorageError
from resonantgen_bridge import AsyncClient
from resonantgen_bridge.keys import ClientKeys, ServerKeys, add_client, new_keys
from resonantgen_bridge.zmq_server import ZmqServer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    new_keys(tmp_path / "keys")
    return tmp_path / "keys"


def client_of(server: ZmqServer, keys: Path | ClientKeys | None) -> AsyncClient:
    return AsyncClient(server.address, events=server.events_address, keys=keys, timeout=HANG_SECONDS)


def test_new_keys_are_files_of_which_only_the_public_ones_can_be_read_by_others(folder: Path) -> None:
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert files == {"server.key", "server.pub", "client.key", "clients/client.pub"}
    for name in ("server.key", "client.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert len({(folder / name).read_bytes() for name in files}) == 4
    server, client = ServerKeys.load(folder), ClientKeys.load(folder)
    assert server.public == client.server
    assert server.clients == {client.public}
    assert server.secret.decode() not in repr(server) + str(server)
    assert client.secret.decode() not in repr(client) + str(client)


def test_the_right_keys_work_for_commands_and_events(folder: Path) -> None:
    add_client(folder, "phone")

    async def calling() -> None:
        engine = FakeEngine()
        async with serving(engine, keys=ServerKeys.load(folder)) as server:
            for keys in (folder, ClientKeys.load(folder, "phone")):
                async with client_of(server, keys) as client, await client.events("changed") as events:
                    await client.tempo(tempo=99)
                    assert (await anext(events)).fields == {"state": {"tempo": 99.0}}

    run(calling())


def test_other_keys_are_refused_and_told_so(folder: Path, tmp_path: Path) -> None:
    new_keys(tmp_path / "others")
    others, right = ClientKeys.load(tmp_path / "others"), ClientKeys.load(folder)
    stranger = ClientKeys(others.public, others.secret, right.server)
    misled = ClientKeys(right.public, right.secret, others.server)

    async def calling() -> None:
        engine = FakeEngine()
        async with serving(engine, keys=ServerKeys.load(folder)) as server:
            for keys in (others, stranger, misled):
                async with client_of(server, keys) as client:
                    for _ in range(2):
                        with pytest.raises(KeysError, match="does not accept these keys"):
                            await client.undo()
                    with pytest.raises(KeysError, match="does not accept these keys"):
                        await client.events("changed")
            async with client_of(server, None) as client:
                for _ in range(2):
                    with pytest.raises(KeysError, match="Give the folder that holds them"):
                        await client.undo()
        assert engine.calls == []

    run(calling())


def test_an_engine_without_keys_is_not_mistaken_for_one_with_them(folder: Path) -> None:
    async def calling() -> None:
        async with serving(FakeEngine()) as server, client_of(server, folder) as client:
            with pytest.raises(KeysError, match="must run with keys itself"):
                await client.undo()

    run(calling())


def test_without_keys_no_event_is_heard(folder: Path) -> None:
    async def listening() -> None:
        engine = FakeEngine()
        async with (
            serving(engine, keys=ServerKeys.load(folder)) as server,
            Peer(server.events_address, zmq.SUB) as uninvited,
            client_of(server, folder) as client,
            await client.events("changed") as events,
        ):
            uninvited.socket.subscribe("")
            engine.change({"auto": 4})
            await anext(events)
            assert await uninvited.socket.poll(300) == 0

    run(listening())


def test_a_client_whose_file_is_deleted_is_out(folder: Path) -> None:
    add_client(folder, "phone")
    phone = ClientKeys.load(folder, "phone")
    (folder / "clients" / "phone.pub").unlink()

    async def calling() -> None:
        keys = ServerKeys.load(folder)
        async with serving(FakeEngine(), keys=keys) as server, client_of(server, phone) as client:
            with pytest.raises(KeysError, match="does not accept these keys"):
                await client.ping()

    run(calling())


def test_keys_let_an_engine_listen_everywhere(folder: Path) -> None:
    async def calling() -> None:
        server = ZmqServer(FakeEngine(), host="0.0.0.0", commands_port=0, events_port=0, keys=ServerKeys.load(folder))
        await server.start()
        address = server.address.replace("0.0.0.0", "127.0.0.1")
        async with AsyncClient(address, keys=folder, timeout=HANG_SECONDS) as client:
            assert await client.ping() == 1
        await server.close()

    run(calling())


def test_keys_are_never_replaced(folder: Path) -> None:
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    with pytest.raises(KeysError, match="holds an engine's keys already"):
        new_keys(folder)
    for name in ("client", "server"):
        with pytest.raises(KeysError, match=f'holds keys of "{name}" already'):
            add_client(folder, name)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b", "x" * 41, "é", "."])
def test_names_of_clients_are_names_of_files(folder: Path, name: str) -> None:
    with pytest.raises(KeysError, match="cannot name a client's keys"):
        add_client(folder, name)
    with pytest.raises(KeysError, match="cannot name a client's keys"):
        ClientKeys.load(folder, name)


@pytest.mark.parametrize("content", [b"", b"x" * 40 + b"x", b"~" * 40, b"\xff" * 40, b"#" * 40, b" " * 40, b"short\n"])
def test_files_that_hold_no_key_are_named(folder: Path, content: bytes) -> None:
    for name in ("server.key", "clients/client.pub"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        with pytest.raises(KeysError, match=rf"{name} holds no key\. Make keys with: resonantgen keys new"):
            ServerKeys.load(folder)
        (folder / name).write_bytes(whole)
    (folder / "server.pub").write_bytes(content)
    with pytest.raises(KeysError, match=r"server\.pub holds no key"):
        ClientKeys.load(folder)


def test_missing_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(KeysError, match=r"server\.key cannot be read: No such file"):
        ServerKeys.load(tmp_path / "nowhere")
    with pytest.raises(KeysError, match=r"client\.key cannot be read: No such file"):
        AsyncClient(keys=tmp_path / "nowhere")
    (folder / "clients" / "client.pub").unlink()
    with pytest.raises(KeysError, match="holds no client's key, so nobody could connect"):
        ServerKeys.load(folder)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_secret_that_others_can_read_is_refused(folder: Path) -> None:
    (folder / "server.key").chmod(0o640)
    with pytest.raises(KeysError, match=r"can be read by others, so it is no secret. Run: chmod 600 "):
        ServerKeys.load(folder)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="The keys cannot be written to "):
        new_keys(tmp_path / "file" / "keys")
