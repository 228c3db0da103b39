"""Sphinx's configuration: the site's pages are the repository's documents, where they are."""

from pathlib import PurePosixPath

from sphinx.util import inspect

from elulayer import __version__ as release

project = "elulayer"
author = "The elulayer authors"
copyright = author
version = release

# From the repository's root, so that links between documents hold on the site too.
root_doc = "docs/index"
include_patterns = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "bench/README.md",
    "bench/results/*.md",
    "cpp/*/README.md",
    "docs/**",
]
exclude_patterns = [".*", "build", "dist", "docs/_templates", "docs/conf.py"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.programoutput",
]

# Headings are link targets, spelled as code hosts spell them.
myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True

# The reference: docstrings of NumPy's style, with the types of the annotations. What is optional
# need not be installed.
autodoc_mock_imports = ["jax", "torch"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_type_aliases = {"Alpha": "Alpha", "FloatArray": "FloatArray", "ArrayLike": "ArrayLike"}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
default_role = "py:obj"
add_module_names = False
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = "elulayer"
html_favicon = "icon.svg"
html_static_path = []
html_copy_source = False
html_show_sourcelink = False
templates_path = ["_templates"]
html_additional_pages = {"index": "to_first_page.html"}


def add_title(app, docname, source):
    """Give a table of results, which benchmarks write without one, its name as a title."""
    page = PurePosixPath(docname)
    if page.parent == PurePosixPath("bench/results") and not source[0].startswith("# "):
        source[0] = f"# Results: {page.name}\n\n{source[0]}"


def own_signature(app, what, name, obj, options, signature, returns):
    """Give a subclass of what is mocked its constructor's signature."""
    if what == "class" and name == "elulayer.torch.ELU":
        own = inspect.signature(obj.__init__, bound_method=True)
        return inspect.stringify_signature(own, show_return_annotation=False), None
    return None


def setup(app):
    app.connect("autodoc-process-signature", own_signature)
    app.connect("source-read", add_title)
