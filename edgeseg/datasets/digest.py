"""One number for the very pictures and labels that a figure or a training rests on."""

from __future__ import annotations

import hashlib
import json

from edgeseg.datasets.dataset import Dataset
from edgeseg.datasets.pairs import FilePair
from edgeseg.files import existing_file, sha256_from_file
from edgeseg.progress import Progress, silent


def dataset_sha256(dataset: Dataset, *, progress: Progress = silent) -> str:
    """SHA-256, in hexadecimal, over the class names, and name and bytes of every file in order.

    The same wherever the files lie, and however they were chosen. Where there are no files, the data set's name, which
    has every option, stands for them.
    """
    digest = hashlib.sha256(json.dumps(dataset.labels.names).encode())
    for file in dataset.files:
        digest.update(bytes.fromhex(sha256_from_file(existing_file(file))))
    for done, sample in enumerate(dataset, 1):
        if isinstance(sample, FilePair):
            digest.update(json.dumps(sample.name).encode())
            for file in (sample.image, sample.label):
                digest.update(bytes.fromhex(sha256_from_file(existing_file(file))))
        progress("hash", done, len(dataset))
    if not any(isinstance(sample, FilePair) for sample in dataset):
        digest.update(dataset.name.encode())
    return digest.hexdigest()
