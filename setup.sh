#!/bin/bash
# Installs what vkattn needs to build and to test itself, including a software Vulkan driver. Safe to run again: what is
# there is skipped, and then it takes less than a second.
#
#   Debian 12     system packages; Mesa from bookworm-backports (the file vkattn-backports.sources is added when that suite
#                 is not configured); shader compiler, Vulkan headers, volk and VMA from Debian testing, unpacked into
#                 .deps/ next to this script. Those never touch the system: delete .deps/ to be rid of them.
#   Debian 13+    system packages; Mesa from backports where that suite is configured
#   Ubuntu 24.04+ system packages; untested
#
# Packages need root: run as root, or have sudo. The rest does not. They come from where apt is configured to get them;
# VKATTN_DEBIAN_MIRROR=URI names another mirror for what is added on Debian 12.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
deps=$here/.deps
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }
# Apt says much that alarms and means nothing: it is shown only if the command fails.
quietly() {
    local log status=0
    log=$(mktemp)
    "$@" >"$log" 2>&1 || status=$?
    [ $status = 0 ] || { echo "setup: failed with status $status: $*" && cat "$log"; } >&2
    rm -f "$log"
    return $status
}

# ---- what to install ---------------------------------------------------------------------------------------------------

packages=(
    gcc g++ libc6-dev binutils cmake ninja-build pkgconf git # to build
    libjsmn-dev                                              # tuning records
    libcriterion-dev                                         # tests
    libcjson-dev                                             # bench
    libpng-dev libutf8proc-dev libopenexr-dev libglfw3-dev   # examples
    libopenmpi-dev openmpi-bin                               # examples
    xvfb xauth                                               # tests of windows
    libvulkan1 vulkan-validationlayers                       # to run; the driver comes below
)
# Too old on Debian 12.
newer=(glslang-tools spirv-tools libvulkan-dev libvulkan-volk-dev libvulkan-memory-allocator-dev)

[ -r /etc/os-release ] || die "cannot tell which system this is: /etc/os-release is missing"
ID='' VERSION_ID='' VERSION_CODENAME=''
# shellcheck source=/dev/null
. /etc/os-release
private=false
case $ID in
debian)
    case $VERSION_ID in
    12) private=true ;;
    13 | '') ;; # testing and unstable have no number
    *) [ "${VERSION_ID%%.*}" -gt 13 ] || die "Debian $VERSION_ID is too old: 12 is the oldest that works" ;;
    esac
    ;;
ubuntu)
    dpkg --compare-versions "$VERSION_ID" ge 24.04 || die "Ubuntu $VERSION_ID is too old: 24.04 is the oldest that may work"
    say "note: nobody has tested this on Ubuntu yet"
    ;;
*) die "no recipe for '$ID'. By hand: C11 and C++17 compilers, CMake 3.25, Ninja, pkg-config, Criterion, jsmn, cJSON, libpng, volk, \
VMA, Vulkan headers and loader, glslang, spirv-tools, validation layers, and a Vulkan driver such as Mesa's lavapipe" ;;
esac
$private || packages+=("${newer[@]}")

# ---- system packages ---------------------------------------------------------------------------------------------------

export DEBIAN_FRONTEND=noninteractive
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        command -v sudo >/dev/null || { echo "root is needed for: $*" >&2 && return 1; }
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}
updated=false
update() {
    $updated || quietly as_root apt-get update -qq
    updated=true
}
install() {
    say "installing: $*"
    quietly as_root apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
}
# The version of an installed package, or nothing.
version() { dpkg-query -W -f='${db:Status-Status} ${Version}\n' "$1" 2>/dev/null | sed -n 's/^installed //p' | head -n1; }

missing=()
for p in "${packages[@]}"; do
    [ -n "$(version "$p")" ] || missing+=("$p")
done
if [ ${#missing[@]} -gt 0 ]; then
    # Mesa's packages want each other in the same version: those that windows need come from where the driver came from.
    from=()
    if ! $private && [[ $(version mesa-vulkan-drivers) = *~bpo* ]]; then from=(-t "$VERSION_CODENAME-backports"); fi
    update
    install "${from[@]}" "${missing[@]}"
fi

# ---- the software driver -----------------------------------------------------------------------------------------------

# Debian 12's own Mesa (22.3) is too old to be worth testing on.
mesa=$(version mesa-vulkan-drivers)
oldest=1
if $private; then oldest=24; fi
if [ -z "$mesa" ] || dpkg --compare-versions "$mesa" lt $oldest; then
    backports=$VERSION_CODENAME-backports
    configured() { apt-cache policy | grep "n=$backports," >/dev/null; }
    $private || update
    if $private && ! configured; then
        mirror=$("$here/tools/debian-mirror")
        file=/etc/apt/sources.list.d/vkattn-backports.sources
        say "adding $file for Mesa (backports replace no installed package unless asked to)"
        as_root tee "$file" >/dev/null <<END
# Added by vkattn's setup.sh for a recent Mesa. Nothing is upgraded from here unless asked for with apt-get -t $backports.
Types: deb
URIs: $mirror
Suites: $backports
Components: main
Signed-By: $keyring
END
        updated=false
    fi
    update
    if configured; then
        install -t "$backports" mesa-vulkan-drivers
    else
        install mesa-vulkan-drivers
    fi
fi

# ---- newer build tools for Debian 12 -----------------------------------------------------------------------------------

# Downloaded by an apt with its own lists and sources, verified against Debian's archive keys as ever. The compiler and
# the validator get the libc they were built with, and are started through its loader.
unpack() {
    local suite=$1 apt=$deps/apt root=$deps/root p='' mirror
    mirror=$("$here/tools/debian-mirror") || return 1
    local options=(-o "Dir::Etc::sourcelist=$apt/list.sources" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null
        -o Dir::Etc::preferences=/dev/null -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o Acquire::Languages=none
        -o APT::Sandbox::User="$(id -un)" -o APT::Update::Error-Mode=any)
    rm -rf "$deps"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/debs" "$root" "$deps/bin"
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$mirror" "$suite" "$keyring" >"$apt/list.sources"
    apt-get "${options[@]}" -qq update || return 1
    (cd "$apt/debs" && apt-get "${options[@]}" -qq download "${newer[@]}" libc6 libstdc++6 libgcc-s1) || return 1
    for p in "$apt/debs"/*.deb; do dpkg-deb -x "$p" "$root" || return 1; done
    rm -rf "$apt"

    local loader lib
    loader=$(cd "$root" && find . -name 'ld-linux*.so.*' | sort | head -n1)
    lib=$(cd "$root" && find . -name libc.so.6 -printf '%h\n' | head -n1)
    for p in glslang spirv-val spirv-opt spirv-dis; do
        cat >"$deps/bin/$p" <<END || return 1
#!/bin/sh
root=\$(dirname "\$0")/../root
exec "\$root/$loader" --library-path "\$root/$lib" "\$root/usr/bin/$p" "\$@"
END
        chmod +x "$deps/bin/$p"
        "$deps/bin/$p" --version >/dev/null 2>&1 || return 1
    done
}

recipe=2 # raise it when the part above changes
if $private && [ "$(cat "$deps/recipe" 2>/dev/null)" != $recipe ]; then
    # testing is preferred for its shader compiler; trixie remains when testing is signed by keys too new for this system.
    say "unpacking ${newer[*]} into .deps/"
    log=$(mktemp)
    for suite in testing trixie; do
        echo "from Debian $suite:" >>"$log"
        if unpack $suite >>"$log" 2>&1; then
            echo $recipe >"$deps/recipe"
            say "unpacked from Debian $suite"
            break
        fi
    done
    if [ ! -e "$deps/recipe" ]; then
        cat "$log" >&2
        die "no newer build tools: see the messages above; VKATTN_DEBIAN_MIRROR=URI names a mirror that has testing or trixie"
    fi
    rm -f "$log"
fi

compiler=$deps/bin/glslang
[ -x "$compiler" ] || compiler=$(command -v glslang || command -v glslangValidator)
say "ready: Mesa $(version mesa-vulkan-drivers), $("$compiler" --version | sed -n 's/^Glslang Version: [0-9]*:*/glslang /p')"
