"""The report in a real browser: drawn, closed to the outside, readable on a desk and on a phone, by day and by night."""

from __future__ import annotations

import shutil

import pytest
from playwright import sync_api

from metier.stages.report import OUTPUT
from tests.fixtures.report_inputs import HOSTILE, make_report_inputs, run_report

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
DESK, PHONE = 1280, 390
PICTURES = {"scores-all", "gains", "scores-numeric", "scores-factual", "scores-usage", "scores-format",
            "scores-unanswerable", "kept-w8a8", "found", "funnel", "loss", "dev", "words", "refusals"}  # fmt: skip

BOXES = """() => Object.fromEntries([...document.querySelectorAll("svg.plot")].map(s => {
  const box = s.getBoundingClientRect();
  return [s.getAttribute("aria-labelledby").split(" ")[0].replace(/-title$/, ""), [box.width, box.height]];
}))"""
CUT = """() => [...document.querySelectorAll("svg.plot")].flatMap(s => {
  const a = s.getBoundingClientRect();
  return [...s.querySelectorAll("text")].filter(t => {
    const b = t.getBoundingClientRect();
    return b.left < a.left - 1 || b.right > a.right + 1 || b.top < a.top - 1 || b.bottom > a.bottom + 1;
  }).map(t => t.textContent);
})"""
SMALL = """least => [...document.querySelectorAll("svg.plot text")]
  .filter(t => parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a < least).map(t => t.textContent)"""
# Contrast of each text with the nearest painted background behind it (WCAG 2.2, 1.4.3 asks for 4.5).
FAINT = """least => {
  const rgba = c => { const n = c.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const painted = e => rgba(getComputedStyle(e).backgroundColor);
  const behind = e => painted(e)[3] || !e.parentElement ? painted(e) : behind(e.parentElement);
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.closest("title, desc")) continue;
    const style = getComputedStyle(e), text = e.closest("svg") ? style.fill : style.color;
    const [high, low] = [light(rgba(text)), light(behind(e))].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < least) found.push([e.textContent.slice(0, 40), ratio]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser():
    executable = shutil.which("chromium")
    assert executable, "chromium is not installed: `make browser` installs it"
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A page of a model that ships, and one of strangers' texts that try to break out, which does not."""
    made = {}
    for name, fields in {"won": {}, "hostile": {"hostile": True, "won": False}}.items():
        root = tmp_path_factory.mktemp(name)
        titles = {"title": HOSTILE, "audience": "unbroken" * 15} if name == "hostile" else {}
        made[name] = run_report(root, make_report_inputs(root, **fields), price_per_hour_usd=2.5, **titles).path(OUTPUT)
    return made


@pytest.fixture
def opened(browser, files):
    """Opens a page with everything unfolded; what the browser asked for or complained of stands in `page.said`."""
    contexts = []

    def show(name="won", width=DESK, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.said = []
        page.on("request", lambda r: page.said.append(("request", r.url)))
        page.on("console", lambda m: page.said.append((m.type, m.text)))
        page.on("pageerror", lambda e: page.said.append(("error", str(e))))
        page.on("dialog", lambda d: (page.said.append(("dialog", d.message)), d.dismiss()))
        page.goto(files[name].as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        return page

    yield show
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_every_picture_is_drawn_whole_and_legible(opened, width):
    page = opened(width=width)
    boxes = page.evaluate(BOXES)
    assert set(boxes) == PICTURES
    assert all(w > 250 and h > 60 for w, h in boxes.values()), boxes
    assert page.evaluate(CUT) == []
    assert page.evaluate(SMALL, 10) == []


@pytest.mark.parametrize("name", ["won", "hostile"])
def test_the_page_asks_for_nothing_and_complains_of_nothing(opened, files, name):
    page = opened(name)
    page.wait_for_load_state("networkidle")
    assert page.said == [("request", files[name].as_uri())]


def test_hostile_texts_stay_texts(opened):
    page = opened("hostile")
    assert page.title().startswith(HOSTILE)
    assert page.locator("script, img, iframe, object").count() == 0
    assert HOSTILE in page.locator("h1").inner_text()
    assert HOSTILE in page.locator("#examples .answer .said").all_inner_texts()
    assert any(text.startswith(HOSTILE) for text in page.locator("#data .said").all_inner_texts())


@pytest.mark.parametrize("name", ["won", "hostile"])
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_nothing_sticks_out_sideways(opened, name, width):
    page = opened(name, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    reaching = "x => [...document.querySelectorAll('main > *, .answer, .tile, figure, .scroll')]" \
               ".filter(e => e.getBoundingClientRect().right > x).map(e => e.className)"  # fmt: skip
    assert page.evaluate(reaching, width) == []


@pytest.mark.parametrize("name", ["won", "hostile"])
@pytest.mark.parametrize(("scheme", "paper"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 27)")])
def test_all_text_stands_out_by_day_and_by_night(opened, name, scheme, paper):
    page = opened(name, scheme=scheme)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == paper
    assert page.evaluate(FAINT, 4.5) == []


def test_the_way_to_a_decision_is_short(opened):
    page = opened()
    for told in page.locator("h1, .tile .big").all():
        sync_api.expect(told).to_be_in_viewport()  # without scrolling
    sync_api.expect(page.locator("#cost h2")).not_to_be_in_viewport()
    page.get_by_role("link", name="Time and cost").click()
    sync_api.expect(page.locator("#cost h2")).to_be_in_viewport()


def test_the_first_column_stays_in_sight_while_a_table_is_scrolled(opened):
    page = opened(width=PHONE)
    scores = page.get_by_role("region", name="Exam scores")
    name, score = scores.locator("tbody th").first, scores.locator("tbody td").first
    before = name.bounding_box()["x"], score.bounding_box()["x"]
    scores.evaluate("e => e.scrollLeft = 120")
    assert name.bounding_box()["x"] == pytest.approx(before[0], abs=1)
    assert score.bounding_box()["x"] == pytest.approx(before[1] - 120, abs=1)
