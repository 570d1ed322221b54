"""A file is there whole, or the old one is; a folder that cannot be written is named at once."""

import pytest

from onehotglm.errors import DataFileError
from onehotglm.io.files import atomic_write, ensure_writable_folder, existing_file


def test_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    target = tmp_path / "fit.nc"
    target.write_text("old")

    def write_half():
        with atomic_write(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert [path.name for path in tmp_path.iterdir()] == ["fit.nc"]
    assert target.read_text() == "old"


def test_complete_write_replaces_the_old_file(tmp_path):
    target = tmp_path / "new" / "fit.nc"
    with atomic_write(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert len(list(target.parent.iterdir())) == 1


def test_folder_is_created(tmp_path):
    assert ensure_writable_folder(tmp_path / "a" / "b").is_dir()


def test_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFileError, match=r"cannot write into the folder .*file.*Choose"):
        ensure_writable_folder(tmp_path / "file" / "results")


def test_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(DataFileError, match="is a folder"), atomic_write(tmp_path):
        pass
    with pytest.raises(DataFileError, match="is a folder; expected an NWB file"):
        existing_file(tmp_path, "an NWB file")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataFileError, match=r"none\.nwb does not exist; expected an NWB file"):
        existing_file(tmp_path / "none.nwb", "an NWB file")
