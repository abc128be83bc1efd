"""The hostile corpus against the decoder: every file refused, for its reason, in little time and memory."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from open_clip.transform import PreprocessCfg

from stream_adapter.encode.images import ImageDecoder
from stream_adapter.errors import UndecodableImage
from tests.hostile_pictures import MAX_BYTES, MAX_PIXELS, HostileFile, hostile_files, sound_sources

FILES = hostile_files()


@pytest.fixture(scope="module")
def decode() -> ImageDecoder:
    return ImageDecoder(PreprocessCfg(), max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_is_refused_for_its_reason_and_soon(decode: ImageDecoder, file: HostileFile) -> None:
    started = time.perf_counter()
    with pytest.raises(UndecodableImage, match=file.reason) as refused:
        decode(file.data, file.content_type)
    assert time.perf_counter() - started < 2.0
    assert refused.value.stage == file.stage


def test_there_are_two_hundred_and_they_are_the_same_every_time() -> None:
    assert len(FILES) == 200
    hostile_files.cache_clear()
    assert [(file.name, file.data) for file in hostile_files()] == [(file.name, file.data) for file in FILES]


def test_what_the_corpus_cuts_short_is_sound_when_whole(decode: ImageDecoder) -> None:
    for data, _ in sound_sources().values():
        assert decode(data).shape == (3, 224, 224)


def test_none_crashes_the_process_and_memory_stays_bounded() -> None:
    """In a process of its own, whose peak is reset once the corpus is made and a sound picture has been decoded."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux to reset the peak of memory")
    script = """
from pathlib import Path
from open_clip.transform import PreprocessCfg
from stream_adapter.encode.images import ImageDecoder
from stream_adapter.errors import UndecodableImage
from tests.hostile_pictures import MAX_BYTES, MAX_PIXELS, hostile_files, sound_sources

def peak_mb():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024

decode = ImageDecoder(PreprocessCfg(), max_pixels=MAX_PIXELS, max_bytes=MAX_BYTES)
files = hostile_files()
for data, _ in sound_sources().values():
    decode(data)
Path("/proc/self/clear_refs").write_text("5")
before = peak_mb()
refused = 0
for file in files:
    try:
        decode(file.data, file.content_type)
    except UndecodableImage:
        refused += 1
print(refused, peak_mb() - before)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    refused, grown_mb = map(int, done.stdout.split())
    assert refused == 200
    assert grown_mb < 64
