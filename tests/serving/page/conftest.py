import re
import shutil

import cv2
import pytest
from playwright.sync_api import expect, sync_playwright

from allkit import Classifier
from allkit.data.synth import synthesize
from browsing import DAMAGED, LONG, serving

# With the model that ships, one of the smears drawn with this seed has no mark, and one has both.
SEED = 290
# What Chromium says of an image that cannot be read, and of the icon that a plain text does not have.
EXPECTED = re.compile(r"\b422\b.*/classify$|\b404\b.*/favicon\.ico$")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with smears/, which has more in it than images that can be read."""
    made = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            patch.setenv(name, str(made / "cache"))
        patch.chdir(made)
        drawn = next(found for seed in range(SEED, SEED + 500) if (found := varied(made / f"drawn{seed}", seed)))
        smears = made / "smears"
        (smears / "deep" / ".hidden").mkdir(parents=True)
        names = ("smear10.jpg", "smear2.jpg", LONG, "=1,2.jpg")
        for path, name in zip(drawn, names, strict=True):
            shutil.copy(path, smears / name)
        (smears / DAMAGED).write_bytes(drawn[0].read_bytes()[:3000])
        cv2.imwrite(str(smears / "scan.tif"), cv2.imread(str(drawn[0])))
        for name in (".hidden.jpg", "deep/.hidden/smear.jpg", "old.heatmap.png"):
            shutil.copy(drawn[0], smears / name)
        (smears / "notes.txt").write_text("no image")
        yield made


def varied(folder, seed):
    """Four drawn smears, or None where there is not one without a mark and one with both."""
    found = sorted(synthesize(folder, per_class=1, seed=seed).rglob("*.jpg"))
    marks = {(one.uncertain, one.unfamiliar) for one in Classifier(device="cpu")(found)}
    return found if {(False, False), (True, True)} <= marks else None


@pytest.fixture(scope="module")
def address(folder):
    """Of a server with the model that ships."""
    with serving(folder) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    expect.set_options(timeout=15_000)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


@pytest.fixture
def opened(browser):
    """Opens the page at an address. In the end it must have asked nobody else for anything, and nothing have failed."""
    addresses, asked, complaints = [], [], []

    def open_page(address, **options):
        addresses.append(address)
        context = browser.new_context(**options)
        context.on("request", lambda request: asked.append(request.url.removeprefix("blob:")))
        context.on("console", lambda line: complaints.append(f"{line.text} {line.location['url']}"))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        page = context.new_page()
        page.goto(address)
        return page

    yield open_page
    for context in browser.contexts:
        context.close()
    assert [url for url in asked if not url.startswith((*addresses, "data:"))] == []
    assert [text for text in complaints if not EXPECTED.search(text)] == []


@pytest.fixture
def page(opened, address):
    return opened(address)
