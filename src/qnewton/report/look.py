"""The look that pages share: one style sheet, light and dark, for a desk, a phone and print."""

from functools import cache

from qnewton.report.template_files import template_text


@cache
def style_sheet() -> str:
    """Return the style sheet of the report page, for other pages that are to look like it.

    Colors are custom properties with a light and a dark value; ``data-theme`` on ``<html>``,
    ``light`` or ``dark``, overrules what the system asks for.

    Example:
        >>> "--accent: light-dark(" in style_sheet()
        True
    """
    return template_text("page.css")
