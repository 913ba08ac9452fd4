"""What tests do with a browser: read texts and figures, press keys and buttons, wait."""

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait


def texts(browser, selector):
    return [entry.text for entry in browser.find_elements(By.CSS_SELECTOR, selector)]


def route(browser):
    return browser.execute_script("return location.hash")


def press(browser, *keys):
    ActionChains(browser).send_keys(*keys).perform()


def press_button(browser, text):
    next(button for button in browser.find_elements(By.CSS_SELECTOR, ".toolbar button") if button.text == text).click()


def values(browser, expression):
    """A list of figures that the page's program works out."""
    return browser.execute_script(f"return {expression}")


def wait_for(browser, condition):
    WebDriverWait(browser, 60).until(lambda _: condition())
