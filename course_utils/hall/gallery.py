"""The front page: every demo with what it shows, how long it takes and its picture; no kernel is needed for that."""

from course_utils.hall.auth import Guarded, templates


class Gallery(Guarded):
    """The front page."""

    async def get(self) -> None:
        """Show what there is to see; no kernel is needed for that."""
        self.set_header("Cache-Control", "no-cache")
        page = templates.get_template("gallery.html")
        self.finish(page.render(demos=list(self.hall.demos.values()), base=self.hall.base_url))
