"""A tab of a real browser, and all that was said and asked in it."""

from typing import Any


class Tab:
    """A page, and everything that it said and asked for."""

    def __init__(self, chromium: Any, **options: Any) -> None:
        self.context = chromium.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.bytes = 0
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog: {dialog.message}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("response", self._count)

    def _count(self, response: Any) -> None:
        self.bytes += int(response.headers.get("content-length", 0))

    def open(self, url: str) -> Any:
        self.page.goto(url)
        return self.page


def text(tab: Tab, selector: str) -> str:
    return " ".join(str(tab.page.locator(selector).inner_text()).split())
