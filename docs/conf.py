"""Settings of the documentation; `make docs` builds it with warnings as errors."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

from onehotglm import __version__

project = "onehotglm"
author = "The onehotglm developers"
copyright = author
version = release = __version__

extensions = [
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx-mathjax-offline",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "py:obj"  # `name` in docstrings links where there is such an object

html_theme = "furo"
html_title = f"onehotglm {version}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's Parameters sections say them
numpydoc_show_class_members = False
# Plain records document their fields as attributes.
numpydoc_validation_exclude = {
    r"\.Report[A-Z]",
    r"\.NWBSummary",
    r"\.Connectome$",
    r"\.(Chain)?Comparison$",
    r"\.DecoderResult$",
    r"\.CurriculumRun$",
    r"\.StateSelection$",
}
numpydoc_validation_checks = {
    "PR01",  # a parameter is not documented
    "PR02",  # a documented parameter does not exist
    "PR03",  # parameters in another order
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "examples",
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"(rnn|astrosnn|bdh)_",  # longer runs: plain scripts
    "within_subsection_order": "ExampleTitleSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "plot_gallery": True,
}
