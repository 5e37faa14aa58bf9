"""Live video: what ffmpeg makes in real time reaches many players through one edge location, and a real browser."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest
from bench.bench_live import HOST, PLAYLIST, Studio, camera, live, stage

from tests.support.npm import fetched

PAGE = """<!doctype html><video id="video" muted autoplay playsinline></video><script src="/hls.js"></script><script>
const video = document.getElementById("video"), hls = new Hls({liveSyncDurationCount: 1});
hls.on(Hls.Events.ERROR, (_, found) => found.fatal && fetch("/failed-" + found.details));
hls.loadSource("/live.m3u8"); hls.attachMedia(video);
let told = 0, began = null;
video.addEventListener("timeupdate", () => {
  began ??= video.currentTime;
  if (video.currentTime - began > told) fetch("/played-" + ++told);
});
video.play();
</script>"""


def needs(program: str, package: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed (apt: {package})")
    return found


async def test_a_live_stream_through_one_location(tmp_path: Path) -> None:
    needs("ffmpeg", "ffmpeg")
    report = await live(50, tmp_path, seconds=8)
    assert report.segments >= 4 and report.versions >= 3
    assert report.repeated == {}  # each segment and each version of the playlist came from the origin once
    assert report.origin_requests < report.requests / 5


@pytest.fixture(scope="module")
def hls_js(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return (fetched("hls.js@1", tmp_path_factory.mktemp("npm")) / "hls.js" / "dist" / "hls.min.js").read_bytes()


async def test_it_plays_in_a_browser(tmp_path: Path, hls_js: bytes) -> None:
    needs("ffmpeg", "ffmpeg")
    chromium = needs("chromium", "chromium")
    studio = Studio(tmp_path / "studio")
    studio.folder.mkdir()
    (studio.folder / "hls.js").write_bytes(hls_js)
    (studio.folder / "page.html").write_text(PAGE)
    async with stage(tmp_path / "edge", studio) as port, camera(studio.folder, seconds=20):
        browser = await asyncio.create_subprocess_exec(
            chromium,
            *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio"],
            *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
            "--autoplay-policy=no-user-gesture-required",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
            "--remote-debugging-port=0",  # without it a headless browser leaves after the page is loaded
            f"http://{HOST}:{port}/page.html",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(60):
                while "/played-3" not in studio.missing:
                    assert browser.returncode is None, "the browser left"
                    assert not [target for target in studio.missing if "failed" in target], studio.missing
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(f"it does not play: {studio.missing}, {sorted(studio.sent)}")
        finally:
            if browser.returncode is None:
                browser.kill()
            await browser.wait()
    assert studio.missing.index("/played-1") < studio.missing.index("/played-3")
    assert all(count == 1 for count in studio.sent.values())
    assert len([target for target, _ in studio.sent if target == PLAYLIST]) > 1
