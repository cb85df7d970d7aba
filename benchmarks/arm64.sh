#!/usr/bin/env bash
# The answers of the models in exported/ on three emulated arm64 boards: Raspberry Pi 3 (Cortex-A53), 4 (A72) and 5 (A76).
#
#     benchmarks/arm64.sh [ROOT [ARGUMENTS OF PYTHON ...]]
#
# ROOT, by default a temporary folder, receives Debian's Python and the wheels of the dependencies for arm64, 0.5 GB, and
# is reused by later runs. Python runs once per board with the given arguments, in the repository's folder; the default
# is `-m allkit inspect MODEL --check` for each model. The system is not changed, except that apt installs qemu-user if
# it is missing. For Debian 12. PYTHON names the interpreter whose pip fetches the wheels, BOARDS some of "pi3 pi4 pi5".
set -euo pipefail
if [ $# -gt 0 ]; then
    mkdir -p "$1"
    root=$(realpath "$1")
    shift
else
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
fi
cd "$(dirname "$0")/.."
command -v qemu-aarch64 > /dev/null || apt-get install --yes qemu-user

# A separate apt state, with nothing installed, fetches these packages and all their dependencies.
packages() {
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg state=$root/.apt
    mkdir -p "$state"/{lists,archives}/partial && : > "$state/status"
    # From the system's own package sources.
    local site && site=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' | grep -m 1 ' bookworm$')
    echo "deb [signed-by=$keyring] $site main" > "$state/sources.list"
    local options=(-qq -o "Dir::State=$state" -o "Dir::State::status=$state/status" -o "Dir::Cache=$state"
        -o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update
    apt-get "${options[@]}" install --yes --download-only --no-install-recommends \
        python3.11-minimal libpython3.11-stdlib libstdc++6
    for package in "$state"/archives/*.deb; do dpkg -x "$package" "$root"; done
    touch "$root/.packages"
}
[ -e "$root/.packages" ] || packages

wheels() {
    local platforms=(--platform manylinux2014_aarch64)
    for glibc in 17 24 26 27 28 31 34 35; do platforms+=(--platform "manylinux_2_${glibc}_aarch64"); done
    rm -rf "$root/wheels" "$root/.wheels"
    xargs "${PYTHON:-python3}" -m pip install --quiet --target "$root/wheels" --no-compile "${platforms[@]}" \
        --python-version 3.11 --implementation cp --only-binary=:all: <<< "$1"
    echo "$1" > "$root/.wheels"
}
needed=$(sed -n '/^dependencies/,/^]/s/^ *"\([^"]*\).*/\1/p' pyproject.toml)
[ "$(cat "$root/.wheels" 2> /dev/null)" = "$needed" ] || wheels "$needed"

# Files in ROOT hide those of this machine in /proc, where onnxruntime looks for instruction sets. The number of
# processors is this machine's, from /sys.
board() {  # processor for qemu, model, BogoMIPS, variant, part, revision, features
    echo "== $2, $1"
    cpu=$1
    mkdir -p "$root/proc/device-tree" && printf '%s\0' "$2" > "$root/proc/device-tree/model"
    for processor in $(seq 0 $(($(nproc --all) - 1))); do
        printf '%s\n' "processor	: $processor" "BogoMIPS	: $3" "Features	: $7" "CPU implementer	: 0x41" \
            "CPU architecture: 8" "CPU variant	: $4" "CPU part	: $5" "CPU revision	: $6" ""
    done > "$root/proc/cpuinfo"
    echo "Model		: $2" >> "$root/proc/cpuinfo"
}
emulated() {
    ORT_DISABLE_TELEMETRY=1 XDG_CACHE_HOME="$root/.cache" PYTHONPATH="$PWD/toolkit:$root/wheels" PYTHONNOUSERSITE=1 \
        qemu-aarch64 -cpu "$cpu" -L "$root" "$root/usr/bin/python3.11" "$@"
}
dot="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
failed=0
for name in ${BOARDS:-pi3 pi4 pi5}; do
    case $name in
        pi3) board cortex-a53 "Raspberry Pi 3 Model B Rev 1.2" 38.40 0x0 0xd03 4 "fp asimd evtstrm crc32 cpuid" ;;
        pi4) board cortex-a72 "Raspberry Pi 4 Model B Rev 1.1" 108.00 0x0 0xd08 3 "fp asimd evtstrm crc32 cpuid" ;;
        pi5) board cortex-a76 "Raspberry Pi 5 Model B Rev 1.0" 108.00 0x4 0xd0b 1 "$dot" ;;
        *) echo "error: unknown board $name: BOARDS takes pi3, pi4 and pi5" >&2; exit 2 ;;
    esac
    [ $# -eq 0 ] || { emulated "$@" || failed=1; continue; }
    for model in exported/*.onnx; do emulated -m allkit inspect "$model" --check || failed=1; done
done
exit $failed
