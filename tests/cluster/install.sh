# shellcheck shell=bash
# What the package scripts share: installing what their function `missing` prints. Sourced, never run.

PATH=$PATH:/usr/sbin:/sbin

has() { command -v "$1" >/dev/null; }

# install_missing [--list]
install_missing() {
    local names
    mapfile -t names < <(missing)
    if [[ ${1:-} == --list ]]; then
        ((${#names[@]} == 0)) || printf '%s\n' "${names[@]}"
        return
    fi
    if ((${#names[@]} == 0)); then
        echo "nothing is missing" >&2
        return
    fi
    if ((EUID != 0)) || ! has apt-get; then
        echo "missing, for an administrator to install: ${names[*]}" >&2
        return 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update >&2
    apt-get install --yes --no-install-recommends "${names[@]}" >&2
}
