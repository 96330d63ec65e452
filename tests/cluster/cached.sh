# shellcheck shell=bash
# What the build scripts share: a directory in the cache under a key of everything it is made from. Sourced after lib.sh.

# cached NAME KEY WHAT: prints the directory of this key. Has build_into make it, in another one, when it is not there.
cached() {
    local target=$cache/$1/$2
    if [[ ! -d $target ]]; then
        mkdir -p "$cache/$1"
        exec {lock}>"$cache/$1/.lock"
        if ! flock -n "$lock"; then
            say "waiting for another build"
            flock -w 3600 "$lock" || die "another build has held $cache/$1/.lock for an hour"
        fi
        # Whoever held the lock may have built it.
        if [[ ! -d $target ]]; then
            command -v go >/dev/null || die "the Go toolchain is missing: install Go $(sed -n 's/^go //p' go.mod) or later"
            say "building $3, into $target"
            build_whole "$target"
            say "built in $SECONDS s"
        fi
    fi
    printf '%s\n' "$target"
}

# What is made is complete and proven before it gets its name, so a directory under its key is always whole.
build_whole() {
    local temporary
    temporary=$(mktemp -d "${1%/*}/.building.XXXXXX")
    # shellcheck disable=SC2064 # this very directory
    trap "rm -rf '$temporary'" EXIT
    build_into "$temporary" {lock}>&-
    chmod 755 "$temporary"
    mv -T "$temporary" "$1"
}
