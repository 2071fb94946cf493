"""What a browser would find in a page of ours: its text, and everything in it that could act or fetch."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """A page, taken apart."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.texts, self.ids = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        if self.tags[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def faults(self) -> list[str]:
        acting = {"script", "iframe", "object", "embed", "link", "base", "form", "svg", "math", "video", "audio"}
        found = [tag for tag in self.tags if tag in acting]
        for tag, name, value in self.attributes:
            fetches = name in ("src", "srcset", "poster", "background") and not value.startswith(
                "data:image/png;base64,"
            )
            leads = name == "href" and not value.startswith("#")
            found += (
                [f"{tag} {name}={value[:60]}"] if name.startswith("on") or name == "style" or fetches or leads else []
            )
        return found + [id for id in set(self.ids) if self.ids.count(id) > 1]
