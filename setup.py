"""Packaging of flask-braintrust-evals.

Where the environment variable ``REPOSITORY_URL`` names the public repository, the package index's
page links there, and shows the pictures of the README from there.
"""

import os
import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
REPOSITORY = os.environ.get("REPOSITORY_URL", "").rstrip("/")
VERSION = re.search(
    r'^__version__ = "([^"]+)"$',
    (HERE / "flask_braintrust_evals" / "_version.py").read_text("utf-8"),
    re.MULTILINE,
)
assert VERSION is not None


def description() -> str:
    """Return the README for the package index, to which paths of the repository mean nothing."""
    text = (HERE / "README.md").read_text("utf-8")
    if not REPOSITORY:
        text = re.sub(r"^!\[[^]]*\]\((?!https:)[^)]*\)\n\n", "", text, flags=re.MULTILINE)
        return re.sub(r"\[([^]]*)\]\((?!https:)[^)]*\)", r"\1", text)
    at = f"v{VERSION.group(1)}"
    text = re.sub(r"(!\[[^]]*\]\()(?!https:)", rf"\1{REPOSITORY}/raw/{at}/", text)
    return re.sub(r"(\]\()(?!https:)", rf"\1{REPOSITORY}/blob/{at}/", text)


setup(
    name="flask-braintrust-evals",
    version=VERSION.group(1),
    description="Serve evaluators to the Braintrust Playground from a Flask application",
    long_description=description(),
    long_description_content_type="text/markdown",
    url=REPOSITORY or None,
    project_urls={"Changelog": f"{REPOSITORY}/blob/main/CHANGELOG.md"} if REPOSITORY else {},
    license_expression="Apache-2.0",
    author="The flask-braintrust-evals maintainers",
    keywords=["flask", "braintrust", "evaluation", "evals", "llm", "playground", "sse"],
    packages=find_packages(include=["flask_braintrust_evals", "flask_braintrust_evals.*"]),
    package_data={"flask_braintrust_evals": ["py.typed", "playground/assets/*"]},
    # So that `flask evals check` works where there is no application, too.
    entry_points={
        "flask.commands": ["evals = flask_braintrust_evals.cli:evals_cli"],
        # Named as its module, so that "-p" and "pytest_plugins" do not load it again.
        "pytest11": ["flask_braintrust_evals.pytest_plugin = flask_braintrust_evals.pytest_plugin"],
    },
    python_requires=">=3.10",
    # The bounds are above the known faults of each: docs/security.md, "Dependencies".
    install_requires=[
        "click>=8.1.3",
        "flask>=3.1.3",
        "flask-cors>=6.0",
        "jinja2>=3.1.6",
        "jsonschema>=4.18",
        "mstache>=0.4",
        "opentelemetry-api>=1.27",
        "opentelemetry-exporter-otlp-proto-common>=1.27",
        "opentelemetry-proto>=1.27",
        "opentelemetry-sdk>=1.27",
        "orjson>=3.11.6",
        "pydantic>=2.9",
        "referencing>=0.31",
        "regex>=2023.12.25",
        "requests>=2.33",
        "urllib3>=2.7",
        "werkzeug>=3.1.6",
        "wrapt>=1.14",
    ],
    extras_require={
        "braintrust": ["braintrust>=0.31"],
        "cache": ["diskcache>=5.6"],
        # The client of the broker is the application's choice: Celery brings that of RabbitMQ, and
        # celery[redis] that of Redis. Kombu before 5.7 leaves queues in Redis for ever.
        "celery": ["celery>=5.6", "kombu>=5.7"],
        "gunicorn": ["gunicorn[gevent]>=23.0", "gevent>=24.10.1"],
        "opentelemetry": ["opentelemetry-instrumentation-flask>=0.49b0"],
        "pytest": ["pytest>=7.4"],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Web Environment",
        "Framework :: Flask",
        "Intended Audience :: Developers",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Programming Language :: Python :: 3.15",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Software Development :: Testing",
        "Typing :: Typed",
    ],
)
