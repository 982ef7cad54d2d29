"""Packaging. `engines/` and `calib/` of the repository also ship, as edgeseg.recipes and edgeseg.ranges."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="edgeseg",
    version="0.1.0",
    description="Edge deployment toolkit for real-time semantic segmentation: convert, stream, measure",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=[*find_packages(include=["edgeseg", "edgeseg.*"]), "edgeseg.recipes", "edgeseg.ranges"],
    package_dir={"edgeseg.recipes": "engines", "edgeseg.ranges": "calib"},
    package_data={
        "edgeseg": ["py.typed"],
        "edgeseg.weights": ["*.safetensors", "*.md", "*.LICENSE"],
        "edgeseg.recipes": ["*.toml"],
        "edgeseg.ranges": ["*.json"],
    },
    install_requires=[
        "av>=14",
        "numba>=0.61",
        "numpy>=1.26",
        "onnx>=1.17",
        "onnx-ir>=0.1.12",
        "onnxruntime>=1.20",
        "opencv-python>=4.9",
        "psutil>=5.9",
        "rich>=13",
        "safetensors>=0.4",
        "tomli>=2; python_version < '3.11'",
        "typer>=0.15",
    ],
    extras_require={
        "export": ["onnxscript>=0.5", "torch>=2.9"],
        "openvino": ["openvino>=2025.0"],
        "reports": ["matplotlib>=3.8", "jinja2>=3.1"],
        "test": [
            "hypothesis",
            "import-linter",
            "mypy",
            "pytest",
            "pytest-xdist",
            "ruff",
            "torchmetrics",
            "transformers",
            "types-protobuf",
        ],
        "test-runtime": ["hypothesis", "pytest", "pytest-xdist"],
    },
    entry_points={"console_scripts": ["edgeseg = edgeseg.cli:main"]},
)
