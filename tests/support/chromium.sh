# What tests of pages in a browser share; to be read by `.`. Ends the test with exit status 77 where there is no Chromium. $work is a
# folder of the test's own.
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
    echo "SKIP: no Chromium here (Debian: chromium), so no browser has read the page"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAIL: $*"
    exit 1
}

# open FILE WIDTH HEIGHT: the document as it is after its scripts, to $work/dom; what the browser says, to $work/says
open() {
    HOME=$work timeout 120 "$chromium" --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --user-data-dir="$work/profile" \
        --enable-logging=stderr --window-size="$2,$3" --dump-dom "file://$1" >"$work/dom" 2>"$work/says" ||
        fail "Chromium ended with $?: $(tail -n 5 "$work/says")"
    grep 'CONSOLE' "$work/says" && fail "there is something on the console"
    return 0
}
