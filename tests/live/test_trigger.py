"""Events about a class that stays in a zone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeseg.datasets.labels import CAMVID_LABELS
from edgeseg.errors import EdgeSegError
from edgeseg.live.run_file import run_from_file
from edgeseg.live.trigger import Trigger, TriggerConfig, zone_mask
from edgeseg.predictions import SemanticMask
from edgeseg.video.frame import Frame
from edgeseg.video.result import Result

PERSON = CAMVID_LABELS.names.index("Pedestrian")
LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


def result_with(person: slice | None, index: int = 0) -> Result:
    """A result whose mask has a pedestrian in these columns of 100, in all rows."""
    labels = np.zeros((40, 100), np.uint8)
    if person is not None:
        labels[:, person] = PERSON
    frame = Frame.from_rgb(index, index / 10, np.zeros((40, 100, 3), np.uint8))
    return Result(frame, SemanticMask(labels, CAMVID_LABELS))


def test_it_reports_after_the_time_and_not_before() -> None:
    trigger = Trigger(TriggerConfig("Pedestrian", share=0.1, seconds=2.0, zone=LEFT_HALF), CAMVID_LABELS)
    seen = [trigger.update("gate", result_with(slice(10, 30), n), now=n / 2) for n in range(7)]
    events = [(n / 2, event) for n, event in enumerate(seen) if event]
    ((at, event),) = events
    assert (at, event.kind, event.stream, event.data["on"]) == (2.0, "trigger", "gate", True)
    assert event.data["share"] == pytest.approx(20 / 50, abs=0.02)


def test_it_reports_the_end_as_late_and_a_flicker_not_at_all() -> None:
    trigger = Trigger(TriggerConfig("Pedestrian", share=0.1, seconds=1.0, zone=LEFT_HALF), CAMVID_LABELS)
    inside, outside = result_with(slice(10, 30)), result_with(slice(70, 90))
    #        on after 1.0      flicker: off for 0.5     gone from 2.5 on
    states = [inside] * 3 + [outside] + [inside] + [outside] * 4
    on = [event.data["on"] for n, state in enumerate(states) if (event := trigger.update("gate", state, now=n / 2))]
    assert on == [True, False]
    assert not trigger.is_on


def test_the_share_is_that_of_the_zone_at_any_size() -> None:
    trigger = Trigger(TriggerConfig("Pedestrian", zone=LEFT_HALF), CAMVID_LABELS)
    for scale in (1, 8, 20):
        labels = np.zeros((40 * scale, 100 * scale), np.uint8)
        labels[:, : 25 * scale] = PERSON
        assert trigger.share_of(labels) == pytest.approx(0.5, abs=0.02)
    assert zone_mask(LEFT_HALF, (4, 100)).mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{class = "Pedestrain"}', None),  # known only with the model
        ('{class = "Pedestrian", share = 2}', "ES-FORMAT-RUN"),
        ('{class = "Pedestrian", zone = [[0, 0], [1, 1]]}', "ES-FORMAT-RUN"),
        ('{class = "Pedestrian", zone = [[0, 0], [1, 1], [0, 2]]}', "ES-FORMAT-RUN"),
        ('{class = "Pedestrian", zone = "left"}', "ES-FORMAT-RUN"),
        ("{class = 3}", "ES-FORMAT-RUN"),
        ('{class = "Pedestrian", sahre = 1}', "ES-FORMAT-RUN"),
    ],
)
def test_triggers_of_a_run_file(line: str, code: str | None, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(f'model = "m"\n[streams.gate]\nsource = "camera:0"\ntriggers = [{line}]\n')
    if code is None:
        (stream,) = run_from_file(path).streams
        with pytest.raises(EdgeSegError) as caught:
            Trigger(stream.triggers[0], CAMVID_LABELS)
        assert (caught.value.code, "Pedestrian" in caught.value.hint) == ("ES-NAME", True)
        return
    with pytest.raises(EdgeSegError) as caught:
        run_from_file(path)
    assert caught.value.code == code
    assert "line 4" in caught.value.message


def test_a_trigger_refuses_what_it_cannot_watch() -> None:
    for wrong in ({"share": 0.0}, {"seconds": -1.0}, {"zone": ((0, 0), (1, 1))}):
        with pytest.raises(EdgeSegError) as caught:
            TriggerConfig("Road", **wrong)
        assert caught.value.code == "ES-FORMAT-TRIGGER"
