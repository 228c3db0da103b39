"""The site as a browser has it: links, pictures, the width of a phone, the search.

`make test-docs` builds it in build/docs/html; the browser is Debian's (chromium, chromium-driver).
"""

import functools
import http.server
import json
import re
import shutil
import threading
import urllib.parse

import pytest

from shared import documents

webdriver = pytest.importorskip("selenium.webdriver", reason="the extra 'docs' is absent")
pytest.importorskip("sphinx", reason="the extra 'docs' is absent")

SITE = documents.ROOT / "build/docs/html"
PAGES = sorted(str(page.relative_to(SITE)) for page in SITE.rglob("*.html"))

pytestmark = [
    pytest.mark.skipif(not PAGES, reason="the site is not built: make docs"),
    pytest.mark.skipif(
        shutil.which("chromium") is None or shutil.which("chromedriver") is None,
        reason="there is no browser: apt-get install chromium chromium-driver",
    ),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # selenium's sockets
]

FLAGS = (
    "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
    "disable-component-update disable-sync"
)
PHONE = {"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 1.0, "touch": True}}


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address():
    handler = functools.partial(Handler, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def browser(folder, emulation=None):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*FLAGS.split(), f"user-data-dir={folder}", "window-size=1280,1000"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    if emulation:
        options.add_experimental_option("mobileEmulation", emulation)
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


@pytest.fixture(scope="module")
def desktop(tmp_path_factory):
    driver = browser(tmp_path_factory.mktemp("desktop"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def phone(tmp_path_factory):
    driver = browser(tmp_path_factory.mktemp("phone"), PHONE)
    yield driver
    driver.quit()


LOOK = """
for (const image of document.images) { image.loading = "eager"; }
const loaded = Array.from(document.images, image => image.decode().catch(() => {}));
return Promise.all(loaded).then(() => ({
  images: Array.from(document.images, image => [image.src, image.naturalWidth, image.alt]),
  links: Array.from(document.querySelectorAll("a[href]"), link => link.href),
  anchors: Array.from(document.querySelectorAll("[id], a[name]"), one => one.id || one.name),
}));
"""


@pytest.fixture(scope="module")
def seen(desktop, address):
    """What each page has, and what the browser asked for and complained of."""
    found = {}
    for page in PAGES:
        if page == "index.html":  # it leads to the first page
            continue
        desktop.get(address + page)
        found[page] = desktop.execute_script(LOOK)
        found[page]["console"] = desktop.get_log("browser")
        events = [
            json.loads(entry["message"])["message"] for entry in desktop.get_log("performance")
        ]
        found[page]["requests"] = [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]
    return found


def test_the_address_alone_leads_to_the_first_page(desktop, address):
    desktop.get(address)
    wait(lambda: desktop.current_url == f"{address}docs/index.html")
    # The address changes before the page is read.
    wait(lambda: desktop.execute_script("return document.readyState") == "complete")
    assert desktop.find_element("tag name", "h1").text.startswith("elulayer")


def test_links_lead_somewhere(seen, address):
    broken = set()
    for page, there in seen.items():
        for link in there["links"]:
            if not link.startswith(address):
                assert not link.startswith("file:"), f"{page}: {link}"
                continue
            parts = urllib.parse.urlsplit(link)
            path, anchor = (urllib.parse.unquote(p) for p in (parts.path[1:], parts.fragment))
            leads = (SITE / path).is_file() or (SITE / path / "index.html").is_file()
            if not leads or (anchor and path in seen and anchor not in seen[path]["anchors"]):
                broken.add(f"{page}: {link}")
    assert not broken


def test_pictures_are_there_and_described(seen):
    pictures = [(page, *image) for page, there in seen.items() for image in there["images"]]
    assert len(pictures) >= 10
    for page, source, width, description in pictures:
        assert width > 0 and description, f"{page}: {source}"


def test_no_complaints_and_no_request_leaves_the_machine(seen, address):
    for page, there in seen.items():
        assert there["console"] == [], page
        assert there["requests"], page
        for request in there["requests"]:
            assert request.startswith((address, "data:", "chrome:", "chrome-untrusted:")), (
                f"{page}: {request}"
            )


def test_readable_on_a_phone(phone, address):
    """No page scrolls sideways: wide tables and code scroll inside themselves."""
    for page in PAGES:
        phone.get(address + page)
        width = phone.execute_script(
            "return [innerWidth, document.documentElement.scrollWidth, document.body.scrollWidth]"
        )
        assert width == [390, 390, 390], page


def wait(condition, seconds=20):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(None, seconds).until(lambda _: condition())


def test_the_search_finds_elu_backward(desktop, address):
    desktop.get(f"{address}search.html?q=elu_backward")
    wait(lambda: desktop.find_elements("css selector", "ul.search li a"))
    links = desktop.find_elements("css selector", "ul.search li a")
    target = f"{address}docs/reference/arrays.html#elulayer.elu_backward"
    assert target in [link.get_attribute("href") for link in links]
    desktop.get(target)
    assert desktop.find_element("id", "elulayer.elu_backward").is_displayed()


def test_the_inventory_has_every_public_name():
    from sphinx.util.inventory import InventoryFile

    import elulayer as el

    inventory = (SITE / "objects.inv").read_bytes()
    names = {
        name
        for kind, entries in InventoryFile.loads(inventory, uri="").data.items()
        if kind.startswith("py:")
        for name in entries
    }
    modules = {"data": el.data, "models": el.models, "plots": el.plots}
    public = {f"elulayer.{name}" for name in el.__all__ if name not in modules}
    public |= {f"elulayer.{m}.{name}" for m, module in modules.items() for name in module.__all__}
    for module in ("torch", "jax"):
        source = (documents.ROOT / f"python/elulayer/{module}/__init__.py").read_text()
        public |= {
            f"elulayer.{module}.{n}" for n in re.findall(r'"(\w+)"', source.split("__all__")[1])
        }
    assert public - names == set()
