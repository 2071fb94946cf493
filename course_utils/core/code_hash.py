"""Hash of a module's code: part of the key of every cached result, so that other code means another result."""

import ast
import functools
import hashlib

from course_utils.core.paths import source_file


@functools.cache
def code_hash(*modules: str) -> str:
    """Return the sha256 of what modules compute: comments, docstrings, imports and layout do not count.

    Parameters
    ----------
    modules : str
        The ``__name__`` of each; they are imported already. Moving a module, or another one that it imports, changes
        nothing.
    """
    parsed = [ast.parse(source_file(module).read_text("utf-8")) for module in modules]
    return hashlib.sha256("\n".join(ast.dump(_Bare().visit(tree)) for tree in parsed).encode()).hexdigest()


class _Bare(ast.NodeTransformer):
    """Leaves out imports and every text that stands alone, such as a docstring."""

    def visit_Import(self, node: ast.Import) -> None:  # noqa: N802 (ast names it)
        """Leave it out."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:  # noqa: N802
        """Leave it out."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:  # noqa: N802
        """Leave out a text that stands alone."""
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)
