#!/bin/sh
# Installs Debian's Chromium for the end-to-end tests when no Chromium is there; `make browser` calls it.
set -eu

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" > /dev/null; then
        exit 0
    fi
done

if ! command -v apt-get > /dev/null; then
    echo "browser: install Chromium or Chrome by hand (on macOS: brew install --cask chromium)" >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif sudo -n true 2> /dev/null; then
    as_root="sudo -n"
else
    echo "browser: Chromium is missing; run: sudo apt-get install chromium" >&2
    exit 1
fi

echo "Installing Chromium with apt …"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { $as_root apt-get update -qq && $as_root apt-get install -y -qq --no-install-recommends chromium; } > "$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "browser: apt could not install chromium (see the lines above)" >&2
    exit 1
fi
