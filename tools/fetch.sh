# Downloads whose bytes are known, for scripts to read by `.`.
# SPDX-License-Identifier: MIT

die() { echo "$(basename "$0"): $1" >&2; exit 1; }

sum_of() { local sum; sum=$(sha256sum <"$1") && echo "${sum%% *}"; }

# is_right FILE SHA256: is it there, and as it has to be?
is_right() { [ -f "$1" ] && [ "$(sum_of "$1")" = "$2" ]; }

# npm_registry: as npm is configured, where it is installed, without a / at its end
npm_registry() {
    local registry=''
    if command -v npm >/dev/null; then registry=$(npm config get registry 2>/dev/null) || true; fi
    registry=${registry:-https://registry.npmjs.org/}
    echo "${registry%/}"
}

# download URL FILE: fails, with a line on stderr, where it can't be had
download() { curl --fail --silent --show-error --location --retry 2 --max-time 600 --output "$2" "$1"; }

# place FILE SHA256 TO [NAME]: moves it to its place, at once, and complete; or ends the script where it is another one
place() {
    is_right "$1" "$2" || die "${4:-$1} has the SHA-256 $(sum_of "$1"), and not $2"
    mv -- "$1" "$3"
}
