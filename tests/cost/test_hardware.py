import pytest

from qnewton.cost import (
    available_classical,
    available_hardware,
    load_classical,
    load_hardware,
    nominal_calibration,
)

GOOD = """
name = "mine"
title = "my own machine"
hypothetical = false
[gate_time_s]
value = 1e-6
source = "my notebook"
date = 2026-01-01
"""

CLASSICAL = """
name = "mine"
machine = "my own machine"
date = 2026-01-01
source = "my notebook"
[[fits]]
kernel = "lu"
dtype = "float32"
seconds_per_unit = 1e-11
overhead_s = 0
"""


def write(folder, text):
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "gate_time_s", "hypothetical"),
    [
        ("ibm_sherbrooke", 533e-9, False),
        ("photonic-ghz", 1e-9, True),
        ("photonic-thz", 1e-12, True),
        ("attosecond", 1e-18, True),
    ],
)
def test_bundled_machines(name, gate_time_s, hypothetical):
    machine = load_hardware(name)
    assert machine.name == name
    assert machine.gate_time_s.value == gate_time_s
    assert machine.hypothetical is hypothetical
    assert name in available_hardware()


def test_every_bundled_machine_loads_under_its_own_name():
    for name in available_hardware():
        assert load_hardware(name).name == name
    for name in available_classical():
        assert load_classical(name).name == name


def test_sherbrooke_has_every_figure_with_source_and_date():
    machine = load_hardware("ibm_sherbrooke")
    found = {
        "two_qubit_error": 7.8e-3,
        "readout_time_s": 1216e-9,
        "readout_error": 1.98e-2,
        "t1_s": 278e-6,
        "t2_s": 170e-6,
    }
    for field, value in found.items():
        figure = getattr(machine, field)
        assert figure.value == value
        assert figure.date == "2025-02-26"
        assert "FakeSherbrooke" in figure.source


def test_a_users_own_machine(tmp_path):
    path = write(tmp_path, GOOD)
    for given in (path, str(path)):
        machine = load_hardware(given)
        assert machine.gate_time_s.value == 1e-6
        assert machine.gate_time_s.date == "2026-01-01"
        assert machine.two_qubit_error is None


def test_figures_may_be_at_their_limits(tmp_path):
    text = GOOD + '[readout_error]\nvalue = 0\nsource = "s"\ndate = "2026"\n'
    figure = load_hardware(write(tmp_path, text)).readout_error
    assert figure is not None
    assert figure.value == 0.0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("value = 1e-6", "value = -1e-6", "gate_time_s: value is -1e-06; it must be a number abo"),
        ("value = 1e-6", "value = 0", "value is 0; it must be a number above 0"),
        ("value = 1e-6", "value = nan", "value is nan; it must be a number above 0"),
        ("value = 1e-6", "value = inf", "value is inf; it must be a number above 0"),
        ("value = 1e-6", "value = true", "value is True; it must be a number above 0"),
        ("value = 1e-6", 'value = "fast"', "value is 'fast'; it must be a number above 0"),
        ("value = 1e-6", "", "gate_time_s: the field value is missing"),
        ('source = "my notebook"', "", "gate_time_s: the field source is missing"),
        ('source = "my notebook"', 'source = " "', "source is ' '; it must be a text in quotes"),
        ("date = 2026-01-01", "", "gate_time_s: the field date is missing"),
        ("[gate_time_s]", "[gate_time]", "unknown field 'gate_time'; the fields are name, title"),
        ("date = 2026", "unit = 1\ndate = 2026", "gate_time_s: unknown field 'unit'"),
        ('name = "mine"', "", "the field name is missing"),
        ('name = "mine"', "name = 3", "name is 3; it must be a text in quotes"),
        ("hypothetical = false", "", "the field hypothetical is missing"),
        ("hypothetical = false", 'hypothetical = "no"', "'no'; it must be true or false"),
        ('name = "mine"', "name = ", "not a TOML file"),
    ],
)
def test_a_bad_machine_is_one_line_naming_file_field_and_limit(tmp_path, old, new, words):
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ValueError, match=r"mine\.toml") as raised:
        load_hardware(path)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("readout_error = 0.1", "readout_error is 0.1; it must be a table"),
        ('[readout_error]\nvalue = 1.5\nsource = "s"\ndate = "d"', "0 or more and at most 1"),
        ('[t1_s]\nvalue = 0\nsource = "s"\ndate = "d"', "t1_s: value is 0"),
    ],
)
def test_bad_optional_figures(tmp_path, table, words):
    text = GOOD + table if table.startswith("[") else table + GOOD
    with pytest.raises(ValueError, match=r"mine\.toml") as raised:
        load_hardware(write(tmp_path, text))
    assert words in str(raised.value)


def test_a_missing_gate_time(tmp_path):
    with pytest.raises(ValueError, match=r"mine\.toml: the field gate_time_s is missing"):
        load_hardware(write(tmp_path, GOOD.split("[gate_time_s]")[0]))


def test_a_name_nobody_has_lists_those_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"'warp'; choose attosecond, ibm_sherbrooke, photonic-g"):
        load_hardware("warp")
    with pytest.raises(
        ValueError, match=r"no classical profile is called 'warp'; choose h100, h100-"
    ):
        load_classical("warp")
    with pytest.raises(ValueError, match="there is no such file"):
        load_hardware(tmp_path / "nowhere.toml")


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a TOML file"):
        load_hardware(path)


def test_the_papers_classical_machine():
    fit = load_classical("paper-h100").fit("lu_inverse", "float32")
    assert fit is not None
    # The profile's note rounds to 4.7e-13; Table III's figures carry two digits.
    assert fit.seconds_per_unit == pytest.approx(0.92 / 12_544**3, rel=1e-4)
    assert fit.overhead_s == 0.0
    assert fit.samples == ()


def test_the_nominal_machine_says_that_nothing_was_measured():
    calibration = nominal_calibration()
    assert calibration.name == "nominal"
    assert "not measured on this machine: run `qnewton calibrate`" in calibration.source
    assert all(fit.samples == () for fit in calibration.fits)


def test_a_users_own_classical_machine(tmp_path):
    fit = load_classical(write(tmp_path, CLASSICAL)).fit("lu")
    assert fit is not None
    assert (fit.seconds_per_unit, fit.overhead_s, fit.work) == (1e-11, 0.0, "N^3")
    without = CLASSICAL.replace("overhead_s = 0", "")
    assert load_classical(write(tmp_path, without)) == load_classical(write(tmp_path, CLASSICAL))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('kernel = "lu"', 'kernel = "qr"', "fits[0]: kernel is 'qr'; it must be one of lu_inve"),
        ('"float32"', '"float16"', "dtype is 'float16'; it must be float32 or float64"),
        ("= 1e-11", "= -1e-11", "seconds_per_unit is -1e-11; it must be a number above 0"),
        ("overhead_s = 0", "overhead_s = -1", "overhead_s is -1; it must be a number 0 or more"),
        ("overhead_s = 0", "speed = 1", "unknown field 'speed'"),
        ("[[fits]]", "[fits]", "it must be one or more [[fits]]"),
        (CLASSICAL[CLASSICAL.index("[[fits]]") :], "fits = []", "one or more [[fits]]"),
        (CLASSICAL[CLASSICAL.index("[[fits]]") :], "fits = [3]", "fits[0] is 3; it must be a tab"),
        (CLASSICAL[CLASSICAL.index("[[fits]]") :], "", "the field fits is missing"),
        ('machine = "my own machine"', "", "the field machine is missing"),
    ],
)
def test_a_bad_classical_machine(tmp_path, old, new, words):
    assert old in CLASSICAL
    with pytest.raises(ValueError, match=r"mine\.toml") as raised:
        load_classical(write(tmp_path, CLASSICAL.replace(old, new)))
    assert words in str(raised.value)


def test_a_rate_given_twice(tmp_path):
    twice = CLASSICAL + CLASSICAL[CLASSICAL.index("[[fits]]") :]
    with pytest.raises(ValueError, match="fits has a kernel and dtype twice"):
        load_classical(write(tmp_path, twice))
