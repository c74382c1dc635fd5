"""A real browser for the tests of the page: Chromium, headless, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from Live.dashboard.routes import PAGES

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
DESKTOP, PHONE = (1280, 860), (375, 812)
ADDRESSES = ["/", *(f"/{page}" for page in PAGES[1:]), "/orders/1", "/stop"]
PATIENCE = 60_000  # milliseconds: the machine may be busy
expect.set_options(timeout=PATIENCE)  # else every expectation without a limit of its own has five seconds

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)")


@pytest.fixture(name="browser", scope="session")
def the_browser() -> Iterator[Browser]:
    """One browser for all tests of a process."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@contextmanager
def looking(browser: Browser, port: int, *, theme: str = "light", size: tuple[int, int] = DESKTOP) -> Iterator[Page]:
    """A page whose console must stay silent: a mistake in a script and a breach of the content policy are told there."""
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{port}",
        color_scheme="dark" if theme == "dark" else "light",
        viewport={"width": size[0], "height": size[1]},
    )
    page = patient_page(context)
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    yield page
    context.close()
    assert told == []


def patient_page(context: BrowserContext) -> Page:
    """A page that waits as long as a busy machine needs."""
    context.set_default_timeout(PATIENCE)
    return context.new_page()


@contextmanager
def looking_alone(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page, and the address of everything that it asks for, but for what is inside it already."""
    context = browser.new_context()
    page, asked = patient_page(context), list[str]()
    page.on("request", lambda request: asked.append(request.url) if not request.url.startswith(("data:", "blob:")) else None)
    yield page, asked
    context.close()
