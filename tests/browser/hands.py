"""What tests do with a browser: read texts and figures, press keys and buttons, wait.

A page replaces its elements whenever it likes. So all of one kind are read in one call, within the page, and an element
to act on is found anew until the act succeeds; no test holds an element.
"""

from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

LIMIT = 60  # seconds
IN_MOTION = (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
)
# As one sees them: nothing of what is hidden, and each run of white space within a line as one space.
TEXTS = r"""
    const seen = (some) => some.checkVisibility({ visibilityProperty: true }) ? some.innerText ?? some.textContent : "";
    const lines = (text) => text.split("\n").map((line) => line.replace(/\s+/g, " ").trim()).filter((line) => line);
    return [...document.querySelectorAll(arguments[0])].map((some) => lines(seen(some)).join("\n"));
"""
ATTRIBUTES = "return [...document.querySelectorAll(arguments[0])].map((some) => some.getAttribute(arguments[1]))"
COUNT = "return document.querySelectorAll(arguments[0]).length"
ROUTE = "return typeof current === 'undefined' || current === location.hash ? location.hash : ''"


def texts(browser, selector):
    return browser.execute_script(TEXTS, selector)


def attributes(browser, selector, name):
    return browser.execute_script(ATTRIBUTES, selector, name)


def count(browser, selector):
    return browser.execute_script(COUNT, selector)


def route(browser):
    """The address of the page that stands; nothing while another one is on its way."""
    return browser.execute_script(ROUTE)


def press(browser, *keys):
    ActionChains(browser).send_keys(*keys).perform()


def act(browser, selector, action):
    """Does something to the first element of a selector, as soon as it can be done."""

    def done():
        action(browser.find_element(By.CSS_SELECTOR, selector))
        return True

    wait_for(browser, done)


def click(browser, selector):
    act(browser, selector, lambda element: element.click())


def press_button(browser, text):
    def done():
        buttons = browser.find_elements(By.CSS_SELECTOR, ".toolbar button")
        for button, words in zip(buttons, texts(browser, ".toolbar button"), strict=False):
            if words == text:
                button.click()
                return True
        return False

    wait_for(browser, done)


def values(browser, expression):
    """A list of figures that the page's program works out."""
    return browser.execute_script(f"return {expression}")


def wait_for(browser, condition):
    WebDriverWait(browser, LIMIT, poll_frequency=0.1, ignored_exceptions=IN_MOTION).until(lambda _: condition())
