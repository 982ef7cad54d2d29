"""The address of a model on a server: what it says, and that it never shows a password."""

from __future__ import annotations

import dataclasses

import pytest

from edgeseg.batch.job import engine_for_batch
from edgeseg.engines import open_engine
from edgeseg.engines.triton.address import ModelAddress, address_from_uri
from edgeseg.errors import EdgeSegError, UnknownNameError
from edgeseg.opening import remote_address
from edgeseg.spec import Precision


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("triton://gpu/street", ModelAddress("gpu", "street")),
        ("triton://10.0.0.8:9001/street/", ModelAddress("10.0.0.8", "street", 9001)),
        ("triton://gpu/street?timeout=500s&version=3", ModelAddress("gpu", "street", 8001, "", "3", 500.0)),
        ("triton://ann:s%40f%3A@gpu/street?tls=1", ModelAddress("gpu", "street", login="ann:s@f:", tls=True)),
        ("triton://[::1]:8001/street", ModelAddress("::1", "street")),
    ],
)
def test_an_address_has_a_server_a_model_and_options(uri: str, address: ModelAddress) -> None:
    assert address_from_uri(uri) == address


def test_the_login_is_sent_and_never_shown() -> None:
    address = address_from_uri("triton://ann:secret@gpu/street")
    assert address.headers == {"authorization": "Basic YW5uOnNlY3JldA=="}
    assert address.name == "triton://gpu:8001/street"
    assert "secret" not in repr(address)


@pytest.mark.parametrize("options", ["", "?version=3", "?tls=1", "?tls=1&version=3"])
def test_the_name_of_an_address_opens_the_same_model(options: str) -> None:
    address = address_from_uri(f"triton://ann:secret@gpu/street{options}")
    assert address_from_uri(address.name) == dataclasses.replace(address, login="")


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("triton://ann:secret@gpu", "ES-FORMAT-SERVER"),
        ("triton://ann:secret@/street", "ES-FORMAT-SERVER"),
        ("triton://ann:secret@gpu:http/street", "ES-FORMAT-SERVER"),
        ("triton://ann:secret@gpu:0/street", "ES-FORMAT-SERVER"),
        ("triton://ann:secret@gpu/street/1", "ES-FORMAT-SERVER"),
        ("triton://ann:secret/x@gpu/street", "ES-FORMAT-SERVER"),
        ("triton://ann:secret?x@gpu/street", "ES-FORMAT-SERVER"),
        ("triton://ann:secret#x@gpu/street", "ES-FORMAT-SERVER"),
        ("triton://ann:secret@gpu/street?timeout=soon", "ES-FORMAT-OPTION"),
        ("triton://ann:secret@gpu/street?version=newest", "ES-FORMAT-OPTION"),
        ("triton://ann:secret@gpu/street?token=secret", "ES-NAME"),
    ],
)
def test_what_is_no_address_is_refused_without_the_password(uri: str, code: str) -> None:
    with pytest.raises(EdgeSegError) as caught:
        address_from_uri(uri)
    assert caught.value.code == code
    assert "secret" not in str(caught.value)


ADDRESS = "triton://ann:secret@gpu/street"


@pytest.mark.parametrize(("model", "engine"), [(ADDRESS, None), (ADDRESS, "triton"), (ADDRESS, ADDRESS), ("", ADDRESS)])
def test_the_address_is_the_model_or_the_engine(model: str, engine: str | None) -> None:
    assert remote_address(model, engine, None, None) == ADDRESS


@pytest.mark.parametrize(
    ("model", "engine", "precision", "size"),
    [
        ("bisenetv2-camvid", ADDRESS, None, None),
        (ADDRESS, "openvino", None, None),
        (ADDRESS, None, Precision.INT8, None),
        (ADDRESS, None, None, (512, 256)),
    ],
)
def test_a_served_model_is_taken_as_it_is(
    model: str, engine: str | None, precision: Precision | None, size: tuple[int, int] | None
) -> None:
    with pytest.raises(EdgeSegError) as caught:
        remote_address(model, engine, precision, size)
    assert caught.value.code == "ES-MISMATCH-OPTIONS"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("model", "engine"), [(ADDRESS, None), ("bisenetv2-camvid", ADDRESS)])
def test_a_batch_whose_files_would_have_the_password_takes_no_served_model(model: str, engine: str | None) -> None:
    with pytest.raises(EdgeSegError) as caught:
        engine_for_batch(model, engine=engine)
    assert caught.value.code == "ES-MISMATCH-OPTIONS"
    assert "secret" not in str(caught.value)


def test_an_engine_that_is_an_address_elsewhere_is_an_unknown_name_without_its_password() -> None:
    with pytest.raises(UnknownNameError) as caught:
        open_engine(ADDRESS)
    assert "secret" not in str(caught.value)
