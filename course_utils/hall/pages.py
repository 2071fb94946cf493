"""Pages of the demos: Voila renders each once, and each viewer gets it with the id of their own kernel."""

import html
import re
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from voila.notebook_renderer import NotebookRenderer
from voila.utils import get_page_config

from course_utils.hall.demos import DemoNotebook

KERNEL_ID_PLACEHOLDER = "00000000-0000-4000-8000-000000000000"  # stands in the page where a viewer's kernel will
OUTSIDE_LINK = re.compile(r"<link\b[^>]*\bhref=\"(?:https?:)?//[^>]*>\s*", re.IGNORECASE)
# Voila draws diagrams of a language that no demo uses, with a library from elsewhere.
DIAGRAMS = re.compile(r"<script type=\"module\">(?:(?!</script>).)*mermaid.*?</script>", re.DOTALL)
TITLE = re.compile(r"<title>.*?</title>", re.DOTALL)


class PrerunNotebookRenderer(NotebookRenderer):
    """Voila's renderer for a notebook whose cells a template process has run.

    Parameters
    ----------
    cells : dict
        The outputs of each code cell by its id.
    """

    def __init__(self, cells: dict[str, list[dict]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._cells = cells

    async def _jinja_kernel_start(self, nb: Any, kernel_id: str, kernel_future: Any) -> str:
        return kernel_id

    async def _jinja_cell_generator(self, nb: Any, kernel_id: str) -> Any:
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.outputs = [NotebookNode(output) for output in self._cells.get(cell.id, [])]
            yield cell


async def render(app: Any, demo: DemoNotebook, cells: dict[str, list[dict]]) -> str:
    """Return the page of a demo, with NOBODY in the place of the kernel.

    Parameters
    ----------
    app : HallApp
    demo : DemoNotebook
    cells : dict
        The outputs of each of its code cells by the cell's id.
    """
    renderer = PrerunNotebookRenderer(cells, **_arguments(app, demo))
    await renderer.initialize()
    return dress(await renderer.generate_content_str(KERNEL_ID_PLACEHOLDER), demo, app.base_url)


async def render_for(app: Any, demo: DemoNotebook, kernel_id: str) -> str:
    """Return the page of a demo as plain Voila makes it, running the notebook in that kernel."""
    renderer = NotebookRenderer(**_arguments(app, demo))
    await renderer.initialize()
    page = await renderer.generate_content_str(kernel_id, app.kernel_manager.get_kernel(kernel_id))
    return dress(page, demo, app.base_url)


def dress(page: str, demo: DemoNotebook, base_url: str) -> str:
    """Take from Voila's page what would ask another host, and add the hall's own."""
    page = OUTSIDE_LINK.sub("", page)
    page = TITLE.sub(lambda _: f"<title>{html.escape(demo.title)}</title>", page, count=1)
    page = DIAGRAMS.sub("", page)
    ours = (
        f'<link rel="stylesheet" href="{html.escape(base_url)}hall/pages.css">\n'
        f'<script src="{html.escape(base_url)}hall/pages.js" defer></script>\n'
    )
    return page.replace("</head>", f"{ours}</head>", 1)


def _arguments(app: Any, demo: DemoNotebook) -> dict[str, Any]:
    """Return what Voila's handler gives its renderer."""
    config = get_page_config(app.base_url, app.app.settings, app.log, app.voila_configuration)
    return {
        "voila_configuration": app.voila_configuration,
        "traitlet_config": app.config,
        "notebook_path": Path(demo.notebook).name,
        "template_paths": app.template_paths,
        "config_manager": app.config_manager,
        "contents_manager": app.contents_manager,
        "base_url": app.base_url,
        "kernel_spec_manager": app.kernel_spec_manager,
        "page_config": config,
        "mathjax_config": None,
        "mathjax_url": "",
    }
