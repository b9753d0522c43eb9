"""The scripts of a page: Vega and Vega-Lite, and what drives them. Nothing is fetched."""

import os
from contextlib import suppress
from functools import cache

from qnewton.report.template_files import template_text
from qnewton.report.vega import alt, vl_convert
from qnewton.runs import cache_folder, write_atomically

SCRIPTS = ("page.js", "charts.js")
"""What a page runs beside Vega and Vega-Lite, in this order."""


@cache
def page_script() -> str:
    """Return the page's own scripts as one."""
    return "\n".join(map(template_text, SCRIPTS))


@cache
def vega_script() -> str:
    """Return one script that sets ``window.vega`` and ``window.vegaLite``, some 800 kB.

    The page itself compiles its charts: to do so here would cost a third of the time that a page
    takes to write. vl-convert takes a second to put the script together; it is kept in the cache
    folder.
    """
    versions = {"vega": vl_convert.get_vega_version(), "vega-lite": alt.SCHEMA_VERSION.strip("v")}
    kept = cache_folder() / f"{'-'.join(f'{name}-{v}' for name, v in versions.items())}.js"
    # A cache that cannot be read or written costs the half second again, and nothing else.
    with suppress(OSError):
        return kept.read_text(encoding="utf-8")
    # vl-convert carries these modules within itself and fetches nothing.
    vega, lite = (f"https://cdn.jsdelivr.net/npm/{name}@{v}/+esm" for name, v in versions.items())
    script = vl_convert.javascript_bundle(
        f'import {{ View, parse, Warn }} from "{vega}"; import {{ compile }} from "{lite}"; '
        "window.vega = { View, parse, Warn }; window.vegaLite = { compile };"
    )
    with suppress(OSError):
        os.makedirs(kept.parent, exist_ok=True)
        write_atomically(kept, script.encode())
    return script
