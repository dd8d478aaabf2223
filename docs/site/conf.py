"""How Sphinx makes the site of the tree that `scripts/make_docs.py` puts together."""

from rwta_sim import __version__

project = "rwta_sim"
author = copyright = "The rwta_sim developers"
version = release = __version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",  # formulas without asking another machine
    "sphinx_click",
    "sphinx_design",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["**/.ipynb_checkpoints"]

# Pages are written for GitHub, too: its anchors of headings, and pictures as they stand there.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "dollarmath"]
suppress_warnings = ["myst.header"]  # a page may begin below its title
highlight_language = "none"  # indented blocks are equations
bibtex_bibfiles = ["../references.bib"]

nb_execution_mode = "cache"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings have them
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_theme = "pydata_sphinx_theme"
html_title = "rwta_sim"
html_show_sourcelink = False
html_static_path = ["_static"]
html_favicon = "_static/spikes.svg"
html_context = {"default_mode": "auto"}  # light or dark, as the reader's machine is
html_css_files = ["wide.css"]
html_extra_path = ["../demo"]  # a page of its own
html_theme_options = {"navigation_with_keys": False, "show_toc_level": 2, "header_links_before_dropdown": 6}
