import pytest

from allkit.runtime import machine
from allkit.runtime.machine import identity, processor

XEON = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Processor @ 2.80GHz\nflags\t\t: fpu avx2 avx512_vnni\n"
ARM_CORE = "processor\t: {0}\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd\nCPU implementer\t: {1}\nCPU part\t: {2}\n\n"


def cores_of(*parts, implementer="0x41"):
    return "".join(ARM_CORE.format(i, implementer, part) for i, part in enumerate(parts))


@pytest.fixture
def linux(monkeypatch):
    """Set what Linux says: the machine, and the texts of its files."""

    def say(kind, files):
        monkeypatch.setattr(machine.sys, "platform", "linux")
        monkeypatch.setattr(machine.platform, "machine", lambda: kind)
        monkeypatch.setattr(machine.platform, "processor", lambda: "")
        monkeypatch.setattr(machine, "_read", lambda path: files.get(path, ""))

    return say


def test_an_x86_processor_has_its_model_name_and_whether_it_has_vnni(linux):
    linux("x86_64", {"/proc/cpuinfo": XEON})
    assert processor() == "Intel(R) Xeon(R) Processor @ 2.80GHz, VNNI"
    linux("x86_64", {"/proc/cpuinfo": XEON.replace(" avx512_vnni", "")})
    assert processor() == "Intel(R) Xeon(R) Processor @ 2.80GHz"


def test_an_arm_machine_is_named_by_its_board_and_its_parts(linux):
    facts = cores_of("0xd08", "0xd08") + "Hardware\t: BCM2835\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"
    linux("aarch64", {"/proc/cpuinfo": facts})
    assert processor() == "Raspberry Pi 4 Model B Rev 1.4, Cortex-A72"
    linux("aarch64", {"/proc/cpuinfo": facts, "/proc/device-tree/model": "Raspberry Pi Compute Module 4 Rev 1.0\0"})
    assert processor() == "Raspberry Pi Compute Module 4 Rev 1.0, Cortex-A72"
    linux("aarch64", {"/proc/cpuinfo": cores_of("0xd0b"), "/sys/firmware/devicetree/base/model": "Radxa ROCK 5B\0"})
    assert processor() == "Radxa ROCK 5B, Cortex-A76"
    linux("armv7l", {"/proc/cpuinfo": f"model name\t: ARMv7 Processor\n{cores_of('0xd03')}Hardware\t: BCM2835\n"})
    assert processor() == "BCM2835, Cortex-A53"


@pytest.mark.parametrize(
    ("part", "name"),
    [("0xd03", "Cortex-A53"), ("0xd08", "Cortex-A72"), ("0xd0b", "Cortex-A76"), ("0xd0c", "Neoverse-N1")],
)
def test_without_a_board_an_arm_machine_is_named_by_its_parts(linux, part, name):
    linux("aarch64", {"/proc/cpuinfo": cores_of(part, part, part)})
    assert processor() == name


def test_cores_of_several_kinds_are_all_named(linux):
    linux("aarch64", {"/proc/cpuinfo": cores_of("0xd05", "0xd05", "0xd0b", "0xd0b")})
    assert processor() == "Cortex-A55 + Cortex-A76"


def test_an_unknown_part_is_told_by_its_numbers(linux):
    linux("aarch64", {"/proc/cpuinfo": cores_of("0xfff") + cores_of("0xd03", implementer="0xc0") + cores_of("odd")})
    assert processor() == "implementer 0x41 part 0xfff + implementer 0xc0 part 0xd03 + implementer 0x41 part odd"


@pytest.mark.parametrize("kind", ["aarch64", "x86_64", "riscv64"])
def test_a_machine_that_tells_nothing_has_the_name_of_its_kind(linux, kind):
    linux(kind, {})
    assert processor() == kind


def test_on_arm_the_host_of_an_emulation_is_not_taken_for_the_processor(linux):
    linux("aarch64", {"/proc/cpuinfo": XEON})
    assert processor() == "aarch64"


def test_another_set_of_instructions_is_another_machine(linux, monkeypatch):
    linux("x86_64", {"/proc/cpuinfo": XEON})

    def found(*features):
        config = {"SIMD Extensions": {"baseline": ["X86_V2"], "found": list(features)}}
        monkeypatch.setattr(machine.np, "show_config", lambda mode: config)
        return identity()

    assert found("X86_V3") == "Intel(R) Xeon(R) Processor @ 2.80GHz, VNNI (X86_V3)"
    assert len({found("X86_V3", "X86_V4"), found("X86_V3"), found()}) == 3


def test_numpy_tells_its_features():
    import numpy as np

    assert isinstance(np.show_config(mode="dicts")["SIMD Extensions"], dict)
    assert processor() in identity()
