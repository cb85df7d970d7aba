"""The page for every user: by keyboard, by ear, in light and dark, on a narrow screen."""

import re

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from browsing import DAMAGED, done, drop


def test_the_card_is_a_click_away(page):
    with page.expect_popup() as card:
        page.get_by_role("link", name="Model card and intended use").click()
    expect(card.value.get_by_text(re.compile("For .*not for diagnosis"))).to_be_visible()


def test_the_keyboard_is_enough(page, folder):
    with page.expect_file_chooser() as chooser:
        for _ in range(2):
            page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="choose images")).to_be_focused()
        expect(page.get_by_text("choose images", exact=True)).to_have_css("outline-style", "solid")
        page.keyboard.press("Enter")
    assert chooser.value.is_multiple()
    chooser.value.set_files(folder / "smears" / "smear2.jpg")
    done(page, 1)
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="choose a folder")).to_be_focused()
    page.keyboard.press("Tab")
    with page.expect_download():
        page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("img", name="with the evidence")).to_be_visible()


def test_everything_has_a_role_and_a_name(page, folder):
    drop(page, folder / "smears" / "smear2.jpg", folder / "smears" / DAMAGED)
    done(page, 2)
    expect(page.get_by_role("main")).to_match_aria_snapshot(
        """
        - main:
          - region "Choose images":
            - paragraph:
              - button "choose images"
              - button "choose a folder"
          - status: /2 of 2 images/
          - region "Progress and results":
            - progressbar /2 of 2 images/
            - paragraph:
              - button "stop" [disabled]
              - button "save as CSV"
              - checkbox "show where the evidence for the label lies"
            - list "Results":
              - listitem:
                - figure:
                  - 'img /^smear2.jpg: /'
                - table "Probabilities":
                  - rowgroup:
                    - row /^Benign [0-9.]+ %$/:
                      - rowheader "Benign"
              - listitem:
                - /children: equal
                - figure
                - paragraph: damaged.jpg
                - paragraph: /^not read/
        """
    )


# Text and opacity of what can be read, and bars.
COLOURS = """() => [...document.querySelectorAll("body *")].map((element) => {
  const style = getComputedStyle(element), bar = element.matches(".bar span");
  const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  let opacity = 1;
  for (let one = element; one; one = one.parentElement) opacity *= getComputedStyle(one).opacity;
  const shown = (bar || text) && element.checkVisibility() && !element.matches(":disabled");
  const colour = (bar ? style.backgroundColor : style.color).match(/[\\d.]+/g).map(Number);
  return shown && [element.outerHTML, bar, colour, opacity];
}).filter(Boolean)"""


def luminance(colour):
    """Relative, of an RGB colour from 0 to 255: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    shares = np.asarray(colour) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_by_day_and_night_and_on_a_phone(opened, address, folder, scheme):
    page = opened(address, color_scheme=scheme, viewport={"width": 400, "height": 800})
    drop(page, folder / "smears")
    done(page, 6)
    picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    ground = picture[0, 0, ::-1].astype(float)
    assert (luminance(ground) > 0.5) == (scheme == "light")
    found = page.evaluate(COLOURS)
    assert len(found) > 50
    for element, bar, colour, opacity in found:
        low, high = sorted([luminance(ground), luminance(opacity * np.array(colour[:3]) + (1 - opacity) * ground)])
        assert (high + 0.05) / (low + 0.05) >= (3 if bar else 4.5), element
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    page.get_by_role("checkbox").check()
    expect(page.get_by_role("img", name="with the evidence")).to_have_count(5)
    assert page.evaluate("document.documentElement.scrollWidth") == 400
