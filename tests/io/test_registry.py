"""The registry downloads once, checks what came, and is honest about what it cannot check.

The downloads are from a server on this machine.
"""

import hashlib
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlparse

import pytest

from onehotglm.errors import DataFileError, InvalidInputError
from onehotglm.io.registry import REQUIRED, fetch, list_datasets

CONTENT = b"not really a recording"
HASH = hashlib.sha256(CONTENT).hexdigest()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        self.server.requests += 1


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    for name in ("a.nwb", "b.nwb"):
        (folder / name).write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder))
    server.requests = 0
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def registry(server, tmp_path):
    address = f"http://127.0.0.1:{server.server_port}"
    about = "".join(f'{key} = "text"\n' for key in REQUIRED)

    def file(name: str, key: str, sha256: str | None) -> str:
        known = f'sha256 = "{sha256}"\n' if sha256 else ""
        return f'[[{key}.files]]\nname = "{name}"\nurl = "{address}/{name}"\n{known}'

    path = tmp_path / "registry.toml"
    path.write_text(
        f"[good]\n{about}{file('a.nwb', 'good', HASH)}"
        f"[changed]\n{about}{file('a.nwb', 'changed', '0' * 64)}"
        f"[unknown]\n{about}{file('a.nwb', 'unknown', None)}"
        f"[gone]\n{about}{file('c.nwb', 'gone', HASH)}"
        f"[two]\n{about}{file('a.nwb', 'two', HASH)}{file('b.nwb', 'two', HASH)}"
        f'[account]\n{about}obtain = "Ask nicely."\n'
    )
    return path


@pytest.fixture
def get(registry, tmp_path):
    return partial(fetch, folder=tmp_path / "cache", registry=registry, progress=False)


def test_file_comes_once(get, server, tmp_path):
    path = get("good")
    assert path == tmp_path / "cache" / "good" / "a.nwb"
    assert path.read_bytes() == CONTENT
    assert get("good") == path
    assert server.requests == 1


def test_damaged_copy_is_fetched_again(get, server):
    get("good").write_bytes(b"damaged")
    assert get("good").read_bytes() == CONTENT
    assert server.requests == 2


def test_several_files_share_a_folder(get):
    assert sorted(path.name for path in get("two").iterdir()) == ["a.nwb", "b.nwb"]


def test_wrong_content_is_refused(get, tmp_path):
    with pytest.raises(DataFileError, match=r"could not download a\.nwb.*hash"):
        get("changed")
    assert not list((tmp_path / "cache" / "changed").iterdir())


def test_unknown_hash_is_stated(get):
    with pytest.warns(UserWarning, match=f"was not checked.*sha256 {HASH}"):
        assert get("unknown").read_bytes() == CONTENT


def test_failed_download_says_what_to_do(get):
    with pytest.raises(DataFileError, match=r"could not download c\.nwb.*by hand"):
        get("gone")


def test_recordings_to_be_had_by_hand_say_how(get):
    with pytest.raises(DataFileError, match=r"without an account\. Ask nicely"):
        get("account")


def test_unknown_name_lists_the_known(get):
    with pytest.raises(InvalidInputError, match="called 'other'; the registry has good, changed"):
        get("other")


def test_own_registry_is_listed(registry):
    table = list_datasets(registry)
    assert table.loc["two", "files"] == "a.nwb, b.nwb"
    assert list(table.index[table["verified"]]) == ["good", "changed", "gone", "two"]
    assert table.loc["account", "obtain"] == "Ask nicely."


def test_incomplete_registries_are_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[new]\nabout = "mine"\n')
    with pytest.raises(DataFileError, match=r"'new' in .* lacks format, licence, citation, source"):
        list_datasets(path)
    path.write_text("[new\n")
    with pytest.raises(DataFileError, match=r"mine\.toml is no TOML file"):
        list_datasets(path)
    with pytest.raises(DataFileError, match="does not exist; expected a registry"):
        fetch("x", registry=tmp_path / "none.toml")


def test_the_packages_registry_is_complete():
    from onehotglm.io.registry import _read_registry

    for entry in _read_registry(None).values():
        assert all(entry[key] for key in REQUIRED)
        assert urlparse(entry["source"]).scheme == "https"
        for file in entry["files"]:
            assert urlparse(file["url"]).scheme == "https"
            assert re.fullmatch("[0-9a-f]{64}", file.get("sha256", "0" * 64))


def test_pfc6_needs_an_account():
    with pytest.raises(DataFileError, match=r"crcns\.org.*load_crcns_pfc6"):
        fetch("crcns-pfc-6")
