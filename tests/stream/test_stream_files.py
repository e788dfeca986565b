"""`changes import` and `changes export`."""

import concurrent.futures
import gzip
import io
import os
import sys
import tracemalloc

import pytest

from tradelake.errors import StorageError, UsageError
from tradelake.stream import files
from tradelake.stream.files import Imported, export_file, import_file


@pytest.fixture
def source(tmp_path):
    return tmp_path / "changes.jsonl"


def test_each_line_enters_as_it_is(source, stream, held):
    source.write_bytes(b'{"a": 1}\n\xff\xfe\x00\n{"a": 1}\nwindows\r\n  kept \nlast')
    assert import_file(str(source), stream) == Imported(6, 0)
    assert held() == [b'{"a": 1}', b"\xff\xfe\x00", b'{"a": 1}', b"windows\r", b"  kept ", b"last"]


def test_blank_lines_are_passed_over_and_counted(source, stream, held):
    source.write_bytes(b"\n1\n \t\r\n\r\n2\n\n")
    assert import_file(str(source), stream) == Imported(2, 4)
    assert held() == [b"1", b"2"]


@pytest.mark.parametrize("end", [b"", b"\n{}", b"\n\xef\xbb\xbf{}"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(source, stream, held, end):
    source.write_bytes(b"\xef\xbb\xbf{}" + end)
    import_file(str(source), stream)
    assert held() == [b"{}", *end.split(b"\n")[1:]]


def test_an_empty_file_holds_nothing(source, stream):
    source.write_bytes(b"")
    assert import_file(str(source), stream) == Imported(0, 0)


def test_importing_twice_enters_twice(source, stream):
    source.write_bytes(b"1\n2\n")
    import_file(str(source), stream)
    import_file(str(source), stream)
    assert stream.latest() == 4


def test_a_gz_file_is_decompressed_all_its_members(tmp_path, stream, held):
    packed = tmp_path / "changes.gz"
    packed.write_bytes(gzip.compress(b"1\n2\n") + gzip.compress(b"3\n"))
    assert import_file(str(packed), stream).records == 3
    assert held() == [b"1", b"2", b"3"]


def test_a_dash_is_standard_input(stream, held, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1\n\xff\n")))
    assert import_file("-", stream).records == 2
    assert held() == [b"1", b"\xff"]


@pytest.mark.parametrize("size", [files.BATCH_RECORDS - 1, files.BATCH_RECORDS * 2 + 1])
def test_batches_lose_nothing_at_their_borders(source, stream, held, size):
    lines = [b"%d" % n for n in range(size)]
    source.write_bytes(b"\n".join(lines))
    assert import_file(str(source), stream).records == size
    assert held() == lines


def test_memory_does_not_grow_with_the_file(source, stream, monkeypatch):
    monkeypatch.setattr(files, "BATCH_BYTES", 100_000)
    source.write_bytes((b"x" * 999 + b"\n") * 20_000)
    tracemalloc.start()
    import_file(str(source), stream)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_line_longer_than_any_batch_enters_too(source, stream, held):
    long = b"x" * (17 << 20)
    source.write_bytes(b"1\n" + long + b"\n2\n")
    assert import_file(str(source), stream).records == 3
    assert held() == [b"1", long, b"2"]


def test_a_line_that_sqlite_can_not_hold_is_named(source, stream, monkeypatch):
    monkeypatch.setattr(files, "LONGEST_LINE", 10)
    source.write_bytes(b"1\n" + b"x" * 10 + b"\n")
    with pytest.raises(UsageError, match="line 2"):
        import_file(str(source), stream)


def test_what_can_not_be_read_is_named(tmp_path, stream):
    with pytest.raises(UsageError, match=r"nowhere\.jsonl: No such file"):
        import_file(str(tmp_path / "nowhere.jsonl"), stream)
    with pytest.raises(UsageError, match="Is a directory"):
        import_file(str(tmp_path), stream)


def test_a_damaged_gz_file_is_named_with_what_was_taken_in(tmp_path, stream, monkeypatch):
    monkeypatch.setattr(files, "BATCH_RECORDS", 10)
    packed = tmp_path / "changes.gz"
    lines = b"".join(os.urandom(50).hex().encode() + b"\n" for _ in range(5_000))
    packed.write_bytes(gzip.compress(lines)[:-1000])
    with pytest.raises(UsageError, match=r"changes\.gz") as caught:
        import_file(str(packed), stream)
    assert f"({stream.latest()} records" in str(caught.value)
    packed.write_bytes(b"not gzip")
    with pytest.raises(UsageError, match=r"changes\.gz"):
        import_file(str(packed), stream)


def test_what_was_exported_imports_as_it_was(source, stream, held):
    data = [b"1", b"\xff\r", b'{"a":"b"}'] * 5_000
    stream.append(data)
    assert export_file(str(source), stream) == len(data)
    stream.trim(len(data), older_than_us=2**60)
    assert import_file(str(source), stream).records == len(data)
    assert held() == data


def test_an_export_named_gz_is_compressed(tmp_path, stream):
    stream.append([b"1", b"2"])
    export_file(str(tmp_path / "out.gz"), stream)
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()) == b"1\n2\n"


def test_an_export_to_standard_output(stream, capsysbinary):
    stream.append([b"1", b"\xff"])
    assert export_file("-", stream) == 2
    assert capsysbinary.readouterr().out == b"1\n\xff\n"


def test_an_export_that_fails_leaves_the_old_file(source, stream, monkeypatch):
    stream.append([b"1"])
    source.write_bytes(b"old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StorageError, match=r"can't write .*: No space left"):
        export_file(str(source), stream)
    assert source.read_bytes() == b"old"
    assert [path.name for path in source.parent.glob("*jsonl*")] == ["changes.jsonl"]


def test_an_export_into_a_folder_that_is_not_there_says_so(tmp_path, stream):
    with pytest.raises(UsageError, match="can't write"):
        export_file(str(tmp_path / "nowhere" / "out"), stream)


def test_an_export_to_a_device_does_not_replace_it(stream):
    stream.append([b"1"])
    assert export_file(os.devnull, stream) == 1
    assert not os.path.isfile(os.devnull)  # noqa: PTH113


def test_an_export_to_standard_output_by_its_path_is_one_to_a_dash(stream, capsysbinary):
    stream.append([b"1"])
    assert export_file("/dev/stdout", stream) == 1
    assert capsysbinary.readouterr().out == b"1\n"


def test_an_export_to_a_full_device_fails_and_is_no_wrong_name(stream):
    stream.append([b"1"])
    with pytest.raises(StorageError, match="can't write /dev/full: No space left"):
        export_file("/dev/full", stream)


def test_an_export_into_a_named_pipe_goes_to_its_reader_packed_if_so_named(tmp_path, stream):
    stream.append([b"1", b"2"])
    pipe = tmp_path / "changes.gz"
    os.mkfifo(pipe)
    with concurrent.futures.ThreadPoolExecutor() as reader:
        read = reader.submit(pipe.read_bytes)
        assert export_file(str(pipe), stream) == 2
        assert gzip.decompress(read.result()) == b"1\n2\n"
    assert pipe.is_fifo()


def test_a_reader_that_goes_is_told_as_such(tmp_path, stream):
    stream.append([b"x" * 1000] * 1000)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with concurrent.futures.ThreadPoolExecutor() as reader:
        reader.submit(lambda: pipe.open("rb").close())
        with pytest.raises(BrokenPipeError):
            export_file(str(pipe), stream)


def test_an_export_follows_a_link_and_keeps_it(tmp_path, source, stream):
    stream.append([b"1"])
    link = tmp_path / "link"
    link.symlink_to(source)
    export_file(str(link), stream)
    assert link.is_symlink()
    assert source.read_bytes() == b"1\n"
