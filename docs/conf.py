"""How the documentation is built. It needs no network: nothing is downloaded, no other project's index is read."""

from __future__ import annotations

import sys
import warnings
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.deprecation import RemovedInSphinx10Warning

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "stsr"
author = "The stsr developers"
copyright = f"2026, {author}"
version = release = installed_version("stsr")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_autodoc_typehints",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.bibtex",
    "docstrings",
    "method_pages",
    "registries",
]
bibtex_bibfiles = ["references.bib"]
exclude_patterns = ["_build", "extensions", "_templates", "**.ipynb_checkpoints"]
templates_path = ["_templates"]

# Notebooks are shown as they were run.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_member_order = "bysource"
# sphinx_autodoc_typehints repeats this for every type it writes.
warnings.filterwarnings("ignore", category=RemovedInSphinx10Warning)
autodoc_typehints = "none"  # sphinx_autodoc_typehints writes them beside each parameter
napoleon_google_docstring = False
napoleon_use_rtype = False
typehints_defaults = "comma"
typehints_use_rtype = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Every reference to a name of ours must lead somewhere. Other projects' names stay plain text.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!stsr\b).*")]
suppress_warnings = ["config.cache"]  # a setting is a function, which Sphinx cannot compare with the last build's

html_theme = "sphinx_book_theme"
html_title = "stsr"
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "navbar_persistent": [],
}
