"""Segment an image with the model of this folder on a Triton server, without edgeseg.

pip install "tritonclient[grpc]" opencv-python-headless
python client.py photo.jpg -o mask.png
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import tritonclient.grpc as triton


def main(words: Sequence[str] | None = None) -> None:
    """Write the mask in the colours of the classes, and print the share of each class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("-o", "--output", default="mask.png")
    parser.add_argument("--server", default="localhost:8001", help="host and port of gRPC")
    parser.add_argument("--model", default=Path(__file__).resolve().parent.name)
    parser.add_argument("--jpeg", action="store_true", help="send the file, which the ensemble MODEL-jpeg decodes")
    options = parser.parse_args(words)

    rgb = cv2.cvtColor(cv2.imread(options.image), cv2.COLOR_BGR2RGB)
    with triton.InferenceServerClient(options.server) as client:
        config = client.get_model_config(options.model).config
        spec = json.loads(config.parameters["edgeseg"].string_value)["spec"]
        if options.jpeg:
            name, data = f"{options.model}-jpeg", np.fromfile(options.image, np.uint8)[None]
            tensor = triton.InferInput("jpeg", data.shape, "UINT8")
        else:
            size = spec["input"]["width"], spec["input"]["height"]
            name, data = options.model, cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR)[None]
            tensor = triton.InferInput(config.input[0].name, data.shape, "UINT8")
        tensor.set_data_from_numpy(data)
        labels = client.infer(name, [tensor]).as_numpy(config.output[0].name)[0]

    labels = cv2.resize(labels, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    palette = np.array(spec["labels"]["palette"], np.uint8)
    cv2.imwrite(options.output, palette[labels][:, :, ::-1])
    for label, count in zip(*np.unique(labels, return_counts=True)):
        print(f"{spec['labels']['names'][label]:20} {100 * count / labels.size:5.1f} %")


if __name__ == "__main__":
    main()
