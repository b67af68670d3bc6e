"""A browser without JavaScript, for tests of pages: it follows links and redirects, sends forms."""

# ruff: noqa: S101  assertions: these are tests

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin

from flask.testing import FlaskClient

_MOST_REDIRECTS = 5
_FORM = "application/x-www-form-urlencoded"

Fields = dict[str, list[str]]


@dataclass(frozen=True)
class Reply:
    """A response. `headers` are pairs, with names in lower case."""

    status: int
    headers: list[tuple[str, str]]
    text: str

    def header(self, name: str) -> str:
        """A header; nothing without it."""
        return dict(self.headers).get(name, "")


Send = Callable[[str, str, str | None, Mapping[str, str]], Reply]
"""Sends a request: its method, URL, body and headers."""


@dataclass
class Form:
    """A form with the values that its fields have."""

    action: str
    method: str
    fields: Fields = field(default_factory=dict)
    choices: dict[str, set[str]] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """A page: its headings, links and forms, and the text of its main part."""

    def __init__(self, reply: Reply, url: str) -> None:
        super().__init__()
        self.reply, self.url = reply, url
        self.title = self.heading = self.text = ""
        self.links: dict[str, str] = {}
        self.forms: list[Form] = []
        self._link = self._select = ""
        self._open: list[str] = []
        self._in_form = False
        self.feed(reply.text)
        self.text = " ".join(self.text.split())

    @property
    def status(self) -> int:
        """The status of the response."""
        return self.reply.status

    def form(self, button: str) -> Form:
        """The form with this button."""
        found = [each for each in self.forms if button in each.buttons]
        assert found, f"{self.url} has no button {button!r}: {self.text}"
        return found[0]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See HTMLParser."""
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "a":
            self._link = given.get("href", "")
        elif tag == "form":
            self.forms.append(Form(given["action"], given["method"]))
            self._in_form = True
        elif tag == "input" and self._in_form:
            self._add_input(name, given)
        elif tag == "select":
            self._select = name
            self.forms[-1].fields[name] = [""]
        elif tag == "option" and self._select and "selected" in given:
            self.forms[-1].fields[self._select] = [given.get("value", "")]
        elif tag == "button":
            self.forms[-1].buttons.append(given.get("aria-label", ""))
        if tag not in {"input", "meta", "link", "br"}:
            self._open.append(tag)

    def _add_input(self, name: str, given: Mapping[str, str]) -> None:
        form = self.forms[-1]
        if given.get("type") == "checkbox":
            value = given.get("value", "on")
            form.choices.setdefault(name, set()).add(value)
            if "checked" in given:
                form.fields.setdefault(name, []).append(value)
        else:
            form.fields[name] = [given.get("value", "")]

    def handle_endtag(self, tag: str) -> None:
        """See HTMLParser."""
        while self._open and self._open.pop() != tag:
            pass
        if tag == "form":
            self._in_form = False
        elif tag == "select":
            self._select = ""

    def handle_data(self, data: str) -> None:
        """See HTMLParser."""
        words = " ".join(data.split())
        if "title" in self._open:
            self.title += data
        if "h1" in self._open:
            self.heading = f"{self.heading} {words}".strip()
        if "a" in self._open and words:
            self.links.setdefault(words, self._link)
        if "button" in self._open and words:
            self.forms[-1].buttons.append(words)
        if "main" in self._open and "option" not in self._open:
            self.text += f" {data}"


class Browser:
    """A browser without JavaScript. `send` sends its requests."""

    def __init__(self, send: Send, *, session_id: str | None = None) -> None:
        self._send = send
        self.cookies: dict[str, str] = {}
        if session_id is not None:
            self.cookies["__Host-session"] = session_id
        self.page = Page(Reply(0, [], ""), "")

    @classmethod
    def of(cls, client: FlaskClient, *, session_id: str | None = None) -> "Browser":
        """A browser of an app, in this process."""

        def send(method: str, url: str, body: str | None, headers: Mapping[str, str]) -> Reply:
            response = client.open(url, method=method, data=body, headers=headers)
            pairs = [(name.lower(), value) for name, value in response.headers]
            return Reply(response.status_code, pairs, response.text)

        return cls(send, session_id=session_id)

    def open(self, url: str, *, status: int = 200) -> Page:
        """Open a page. Redirects are followed."""
        return self._go("GET", url, None, status)

    def click(self, link: str, *, status: int = 200) -> Page:
        """Follow the link with this text."""
        assert link in self.page.links, f"{self.page.url} has no link {link!r}: {self.page.text}"
        return self.open(self.page.links[link], status=status)

    def press(self, button: str, *, status: int = 200, **given: str | list[str]) -> Page:
        """Send the form with this button, with some of its fields filled in."""
        form = self.page.form(button)
        fields = dict(form.fields)
        for name, value in given.items():
            values = value if isinstance(value, list) else [value]
            known = name in fields or {*values} <= form.choices.get(name, set())
            assert known, f"the form has no field {name!r} for {value!r}"
            fields[name] = values
        body = urlencode(fields, doseq=True)
        if form.method == "get":
            return self.open(f"{form.action}?{body}", status=status)
        return self._go("POST", form.action, body, status)

    def _go(self, method: str, url: str, body: str | None, status: int) -> Page:
        url = urljoin(self.page.url, url)
        reply = self._request(method, url, body)
        for _ in range(_MOST_REDIRECTS):
            if reply.status != 303:
                break
            url = urljoin(url, reply.header("location"))
            reply = self._request("GET", url, None)
        self.page = Page(reply, url)
        assert reply.status == status, f"{method} {url}: {reply.status} {self.page.text}"
        return self.page

    def _request(self, method: str, url: str, body: str | None) -> Reply:
        headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        if self.cookies:
            pairs = (f"{name}={value}" for name, value in self.cookies.items())
            headers["Cookie"] = "; ".join(pairs)
        if body is not None:
            headers |= {"Content-Type": _FORM, "Sec-Fetch-Site": "same-origin"}
        reply = self._send(method, url, body, headers)
        for name, value in reply.headers:
            if name == "set-cookie":
                self._keep(value)
        return reply

    def _keep(self, cookie: str) -> None:
        pair, *attributes = cookie.split(";")
        name, _, value = pair.partition("=")
        if any(each.strip() == "Max-Age=0" for each in attributes):
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value
