"""What a specification may say, and what is refused."""

from __future__ import annotations

import pytest
from coverdex.benchmarks.report.spec import SpecError, read_spec
from coverdex.encoder.errors import NotFoundError

from .written_spec import written


def test_spec_with_everything(tmp_path):
    (tmp_path / "catalogue.parquet").touch()
    (tmp_path / "train.csv").touch()
    spec = read_spec(
        written(
            tmp_path,
            """
            title = "T"
            catalogue = "catalogue.parquet"
            systems = ["Qmax"]
            protocol = "covers80"
            training = "train.csv"
            [[rankings]]
            name = "other"
            path = "other.npy"
            distances = true
            """,
        )
    )
    assert spec.catalogue == str(tmp_path / "catalogue.parquet")
    assert spec.training == str(tmp_path / "train.csv")
    assert spec.systems == ("Qmax",)
    assert spec.rankings[0].distances
    assert spec.kind == "hpcp"


@pytest.mark.parametrize("name", ["Qmax", "2dftm", "coverdex-64"])
def test_a_folder_beside_the_spec_hides_no_system_of_its_name(tmp_path, name):
    (tmp_path / name).mkdir()
    spec = read_spec(written(tmp_path, f"catalogue = 'demo'\nsystems = ['{name}']"))
    assert spec.systems == (name,)
    meant = read_spec(written(tmp_path, f"catalogue = 'demo'\nsystems = ['./{name}']"))
    assert meant.systems == (str(tmp_path / name),)


def test_a_folder_beside_the_spec_hides_the_demo_catalogue_only_if_it_may_be_one(tmp_path):
    text = "catalogue = 'demo'\nsystems = ['Qmax']"
    (tmp_path / "demo").mkdir()
    assert read_spec(written(tmp_path, text)).catalogue == "demo"
    (tmp_path / "demo" / "P_1.h5").touch()
    assert read_spec(written(tmp_path, text)).catalogue == str(tmp_path / "demo")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("catalogue = ", "no TOML"),
        ("systems = ['Qmax']", "names no catalogue"),
        ("catalogue = 'demo'", "names no system"),
        ("catalogue = 'demo'\nsystem = ['Qmax']", "unknown key 'system'"),
        ("catalogue = 'demo'\nsystems = 'Qmax'", "list of names"),
        ("catalogue = 'demo'\nsystems = ['Qmax', 'Qmax']", "two systems have one name"),
        ("catalogue = 'demo'\nsystems = ['Qmax']\nkind = 3", "kind is 3"),
        ("catalogue = 'demo'\nsystems = ['Qmax']\nids = 'ids.csv'", "list of a protocol"),
        ("catalogue = 'demo'\n[[rankings]]\nname = 'x'", "needs name and path"),
        ("catalogue = 'demo'\nrankings = 5", "are tables"),
        ("catalogue = 'demo'\n[rankings]\nname = 'x'\npath = 'y'", "are tables"),
        (
            "catalogue = 'demo'\n[[rankings]]\nname = 'x'\npath = 'y'\ndistances = 'false'",
            "true or false",
        ),
        (
            "catalogue = 'demo'\nsystems = ['Qmax']\n[[rankings]]\nname = 'qmax!'\npath = 'y'",
            "differ only in",
        ),
        (
            f"catalogue = 'demo'\n[[rankings]]\nname = '{'x' * 241}'\npath = 'y'",
            "x... is too long",
        ),
    ],
)
def test_wrong_spec_is_refused(text, message, tmp_path):
    with pytest.raises(SpecError, match=message):
        read_spec(written(tmp_path, text))


def test_a_spec_may_begin_with_the_mark_that_editors_write(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text("catalogue = 'demo'\nsystems = ['Qmax']", encoding="utf-8-sig")
    assert read_spec(path).systems == ("Qmax",)


def test_spec_that_is_not_there(tmp_path):
    with pytest.raises(NotFoundError):
        read_spec(tmp_path / "none.toml")
