"""The scripts of a page: Vega, which draws its charts, and what drives them. Nothing is fetched."""

import os
from contextlib import suppress
from functools import cache

from qnewton.report.template_files import template_text
from qnewton.report.vega import vl_convert
from qnewton.runs import cache_folder, write_atomically

SCRIPTS = ("page.js", "charts.js")
"""What a page runs beside Vega, in this order."""


@cache
def page_script() -> str:
    """Return the page's own scripts as one."""
    return "\n".join(map(template_text, SCRIPTS))


@cache
def vega_script() -> str:
    """Return Vega as one script that sets ``window.vega``, some 600 kB.

    Charts come compiled, so that Vega-Lite does not have to travel with them. vl-convert takes half
    a second to put the script together; it is kept in the cache folder.
    """
    version = vl_convert.get_vega_version()
    kept = cache_folder() / f"vega-{version}.js"
    # A cache that cannot be read or written costs the half second again, and nothing else.
    with suppress(OSError):
        return kept.read_text(encoding="utf-8")
    # vl-convert carries this module within itself and fetches nothing.
    module = f"https://cdn.jsdelivr.net/npm/vega@{version}/+esm"
    names = "{ View, parse, Warn }"
    script = vl_convert.javascript_bundle(f'import {names} from "{module}"; window.vega = {names};')
    with suppress(OSError):
        os.makedirs(kept.parent, exist_ok=True)
        write_atomically(kept, script.encode())
    return script
