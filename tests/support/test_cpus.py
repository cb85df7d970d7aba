import os
import subprocess
import sys

import pytest

from allkit.support import cpus
from allkit.support.cpus import cores, quota_of


def mount(point, root="/", kind="cgroup2", options="rw"):
    """A line of mountinfo."""
    return f"31 23 0:28 {root} {point} rw,nosuid,relatime shared:9 - {kind} {kind} {options}\n"


def group(folder, **files):
    """A folder of a control group; v2 has the file cpu.max, v1 cpu.cfs_quota_us and cpu.cfs_period_us."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("cpu_", "cpu.", 1)).write_text(f"{text}\n")


def test_version_2_gives_the_quota_of_the_own_group(tmp_path):
    group(tmp_path / "job", cpu_max="150000 100000")
    assert quota_of("0::/job\n", mount(tmp_path)) == 1.5


def test_version_1_gives_the_quota_of_the_own_group(tmp_path):
    group(tmp_path / "docker" / "job", cpu_cfs_quota_us="250000", cpu_cfs_period_us="50000")
    groups = "5:memory:/other\n4:cpu,cpuacct:/docker/job\n0::/\n"
    assert quota_of(groups, mount(tmp_path, kind="cgroup", options="rw,cpu,cpuacct")) == 5


@pytest.mark.parametrize("inner", ["max 100000", "800000 100000"])
def test_a_group_is_bound_by_those_around_it(tmp_path, inner):
    group(tmp_path)  # the root of all groups has no such file
    group(tmp_path / "slice", cpu_max="200000 100000")
    group(tmp_path / "slice" / "unit", cpu_max="400000 100000")
    group(tmp_path / "slice" / "unit" / "job", cpu_max=inner)
    assert quota_of("0::/slice/unit/job\n", mount(tmp_path)) == 2


def test_a_container_of_version_1_sees_its_own_group_as_the_root(tmp_path):
    group(tmp_path, cpu_cfs_quota_us="200000", cpu_cfs_period_us="100000")
    line = mount(tmp_path, root="/docker/4f2a", kind="cgroup", options="rw,cpu")
    assert quota_of("1:cpu:/docker/4f2a\n", line) == 2
    group(tmp_path / "inner", cpu_cfs_quota_us="100000", cpu_cfs_period_us="100000")
    assert quota_of("1:cpu:/docker/4f2a/inner\n", line) == 1


@pytest.mark.parametrize("path", ["/elsewhere", "/../outside"])
def test_a_path_outside_the_mount_leaves_the_mount_itself(tmp_path, path):
    group(tmp_path, cpu_max="300000 100000")
    group(tmp_path.parent / "outside", cpu_max="100000 100000")
    assert quota_of(f"0::{path}\n", mount(tmp_path, root="/own" if path == "/elsewhere" else "/")) == 3


def test_a_mount_point_with_a_blank_is_found(tmp_path):
    group(tmp_path / "a b", cpu_max="300000 100000")
    assert quota_of("0::/\n", mount(str(tmp_path / "a b").replace(" ", "\\040"))) == 3


def test_of_both_versions_at_once_the_one_that_limits_counts(tmp_path):
    group(tmp_path / "one", cpu_cfs_quota_us="100000", cpu_cfs_period_us="100000")
    group(tmp_path / "two")
    mounts = mount(tmp_path / "one", kind="cgroup", options="rw,cpu") + mount(tmp_path / "two")
    assert quota_of("1:cpu:/\n0::/\n", mounts) == 1


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"cpu_max": "max 100000"},
        {"cpu_max": ""},
        {"cpu_max": "many 100000"},
        {"cpu_max": "100000 0"},
        {"cpu_cfs_quota_us": "-1", "cpu_cfs_period_us": "100000"},
    ],
)
def test_without_a_limit_there_is_none(tmp_path, files):
    group(tmp_path, **files)
    mounts = mount(tmp_path) + mount(tmp_path, kind="cgroup", options="rw,cpu")
    assert quota_of("1:cpu:/\n0::/\n", mounts) is None


@pytest.mark.parametrize("text", ["", "no such line", "::::", "0::/", "1:cpu:/"])
def test_texts_of_another_form_are_no_limit(text):
    assert quota_of(text, text) is None
    assert quota_of("0::/\n", text) is None


@pytest.mark.parametrize(
    ("bound", "allowed", "expected"),
    [(8, None, 8), (8, 3.0, 3), (8, 2.9, 2), (8, 0.5, 1), (2, 6.0, 2), (1, None, 1)],
)
def test_threads_exceed_neither_the_processors_nor_the_quota(monkeypatch, bound, allowed, expected):
    monkeypatch.setattr(cpus, "_bound_to", lambda: bound)
    monkeypatch.setattr(cpus, "quota", lambda: allowed)
    assert cores() == expected


def test_the_pools_of_libraries_stay_within_a_quota():
    code = (
        "import allkit.support.cpus as cpus; cpus._bound_to = lambda: 64; cpus.quota = lambda: 1.0; cpus.limit_pools();"
        "import os, cv2, numpy, sklearn.metrics, threadpoolctl;"
        "print(cv2.getNumThreads(), os.environ['TF_NUM_INTRAOP_THREADS']);"
        "print(*[pool['num_threads'] for pool in threadpoolctl.threadpool_info()])"
    )
    environment = {name: value for name, value in os.environ.items() if name not in cpus._POOLS}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert set(done.stdout.split()) == {"1"}


def test_what_a_user_has_set_for_a_pool_stands(monkeypatch):
    for name in cpus._POOLS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cpus, "_bound_to", lambda: 8)
    monkeypatch.setattr(cpus, "quota", lambda: None)
    cpus.limit_pools()
    assert not any(name in os.environ for name in cpus._POOLS)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setattr(cpus, "quota", lambda: 2.5)
    cpus.limit_pools()
    assert [os.environ[name] for name in cpus._POOLS] == ["5", "2", "2", "2"]
