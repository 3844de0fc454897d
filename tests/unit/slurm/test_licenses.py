"""Licences as ``scontrol -o show license`` prints them."""

from lrms.slurm.licenses import read_licenses

TEXT = """\
LicenseName=matlab Total=4 Used=1 Free=3 Reserved=0 Remote=no
LicenseName=ansys@flex Total=10 Used=10 Free=0 Reserved=0 Remote=yes
"""


def test_what_is_free_is_read() -> None:
    assert read_licenses(TEXT) == ({"matlab": 3, "ansys@flex": 0}, [])
    assert read_licenses("No licenses configured in Slurm.\n") == ({}, [])


def test_what_makes_no_sense_is_told() -> None:
    free, problems = read_licenses("LicenseName=matlab Total=many\n")
    assert not free
    assert len(problems) == 1
