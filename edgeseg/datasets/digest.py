"""A hash of the images and labels that a figure or a training is based on."""

from __future__ import annotations

import hashlib
import json

from edgeseg.datasets.dataset import Dataset
from edgeseg.datasets.pairs import FilePair
from edgeseg.files import existing_file, sha256_from_file
from edgeseg.progress import Progress, silent


def dataset_sha256(dataset: Dataset, *, progress: Progress = silent) -> str:
    """SHA-256, in hexadecimal, over the class names, and name and bytes of every file in order.

    Independent of paths and of how the files were selected. For a data set without files, the hash of its name, which
    contains every option.
    """
    digest = hashlib.sha256(json.dumps(dataset.labels.names).encode())
    for file in dataset.files:
        digest.update(bytes.fromhex(sha256_from_file(existing_file(file))))
    for count, sample in enumerate(dataset, 1):
        if isinstance(sample, FilePair):
            digest.update(json.dumps(sample.name).encode())
            for file in (sample.image, sample.label):
                digest.update(bytes.fromhex(sha256_from_file(existing_file(file))))
        progress("hash", count, len(dataset))
    if not any(isinstance(sample, FilePair) for sample in dataset):
        digest.update(dataset.name.encode())
    return digest.hexdigest()
