"""The procedural street camera: a drive through a town, with ground truth for every pixel."""

from edgeseg.synthetic.camera import STREET_LABELS as STREET_LABELS
from edgeseg.synthetic.camera import StreetCamera as StreetCamera
