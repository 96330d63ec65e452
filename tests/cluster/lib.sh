# shellcheck shell=bash
# Shared by the scripts beside it: where a control plane keeps its files, what it has written down about itself,
# and how its processes are started, recognised and ended. Sourced, never run.
# It must never end a process that was not started here.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(realpath -m "${ORCHESTRATOR_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set, and neither is ORCHESTRATOR_CACHE}/.cache}/orchestrator}")
state=$(realpath -m "${ORCHESTRATOR_CLUSTER_STATE:-$cache/cluster/default}")
patience=${ORCHESTRATOR_CLUSTER_TIMEOUT:-120}

# Debian keeps ip and iptables where the PATH of a plain user does not look.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# --- the state file: facts as key=value lines, appended as they become true; the last one of a key counts ---

recall() {
    [[ -f $state/state ]] || return 0
    sed -n "s/^$1=//p" "$state/state" | tail -n 1
}

remember() { printf '%s=%s\n' "$1" "$2" >>"$state/state"; }

# Creates the state directory and takes its lock until this script ends. Nobody else may start or stop here meanwhile.
open_state() {
    # The path goes into configuration files of several formats: characters that one of them would have to quote are refused.
    [[ $state =~ ^/[A-Za-z0-9._/-]+$ ]] || die "the state directory $state has a character other than letters, digits and . _ - /; set ORCHESTRATOR_CLUSTER_STATE"
    # Files are removed from it later. That it is ours is told by the lock, or by processes when someone has emptied it under them.
    if [[ -d $state && ! -e $state/lock && -n $(ls -A "$state") && -z $(unrecorded_pids) ]]; then
        die "$state is not empty and was not made by tests/cluster/up; set ORCHESTRATOR_CLUSTER_STATE to another directory"
    fi
    # Holds the key of the administrator: for its owner only.
    (umask 077 && mkdir -p "$state" && mkdir -p "$state/logs")
    exec {lock}>"$state/lock"
    if ! flock -n "$lock"; then
        say "waiting for another up or down of $state"
        flock -w 1200 "$lock" || die "another up or down has held $state/lock for 20 minutes"
    fi
}

# Short and unique for the state directory: names what is not a file in it (bridge, network, socket directory).
state_hash() { printf '%s' "$state" | sha256sum | cut -c 1-8; }

# --- processes ---

boot_id() { cat /proc/sys/kernel/random/boot_id; }

# The start time of a process in clock ticks since boot. With the pid it names one process for as long as the machine runs.
# Empty when there is no such process or only its zombie.
start_time() {
    local stat
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
    # The name, in parentheses, may hold blanks. After it come the state (field 3) and, 19 fields on, the start time.
    read -r -a stat <<<"${stat##*) }"
    [[ ${stat[0]} == [ZX] ]] || printf '%s\n' "${stat[19]}"
}

# Whether the process that was recorded under this name is still running.
is_running() {
    local record
    record=$(recall "process_$1")
    [[ -n $record && $(recall boot) == "$(boot_id)" && $(start_time "${record%:*}") == "${record#*:}" ]]
}

pid_of() {
    local record
    record=$(recall "process_$1")
    printf '%s\n' "${record%:*}"
}

recorded_processes() {
    local name
    [[ -f $state/state ]] || return 0
    sed -n 's/^process_\([a-z-]*\)=.*/\1/p' "$state/state" | sort -u | while read -r name; do
        [[ -z $(recall "process_$name") ]] || printf '%s\n' "$name"
    done
}

# kill_recorded NAME...: nothing here is worth saving, so nothing is asked to stop first.
kill_recorded() {
    local name
    for name in "$@"; do
        if is_running "$name"; then
            kill -KILL "$(pid_of "$name")" 2>/dev/null || true
        fi
        remember "process_$name" ""
    done
}

# start_process NAME COMMAND...: detached from this script and its caller: own session, no open files but its log.
start_process() {
    local name=$1 deadline
    # The node may start again beside what is already up: the record of an earlier start must not answer.
    local before
    before=$(recall "process_$name")
    say "starting $name"
    setsid --fork env -i PATH="$PATH" HOME="$state" ORCHESTRATOR_CLUSTER_PROCESS="$state" \
        "$here/launch" "$state" "$@" </dev/null >"$state/logs/$name.log" 2>&1
    deadline=$((SECONDS + 10))
    while [[ $(recall "process_$name") == "$before" ]]; do
        ((SECONDS < deadline)) || die "$name was not launched, see $state/logs/$name.log"
        sleep 0.02
    done
}

# Pids of what was started for this state directory and is not recorded: start_process marks its environment, and children
# (the shims of containerd) inherit it. Also finds what is left when the state file was deleted by hand, and the Argo CD that
# tests/argocd keeps in a directory within.
unrecorded_pids() {
    local file pid name recorded=" "
    for name in $(recorded_processes); do
        recorded+="$(pid_of "$name") "
    done
    # Other users' files cannot be read, and processes end while this looks: neither is an error.
    { grep -lzxF -e "ORCHESTRATOR_CLUSTER_PROCESS=$state" -e "ORCHESTRATOR_CLUSTER_PROCESS=$state/argocd" /proc/[0-9]*/environ 2>/dev/null || true; } | while read -r file; do
        pid=${file#/proc/} pid=${pid%/environ}
        if [[ $recorded != *" $pid "* && -n $(start_time "$pid") ]]; then
            printf '%s\n' "$pid"
        fi
    done
}

# kill_until_gone WHAT COMMAND...: kills the processes whose pids the command prints, until it prints none.
kill_until_gone() {
    local what=$1 pids deadline=$((SECONDS + 30))
    shift
    while pids=$("$@") && [[ -n $pids ]]; do
        ((SECONDS < deadline)) || die "$what of $state do not end: ${pids//$'\n'/ }"
        # shellcheck disable=SC2086 # one word per pid
        kill -KILL $pids 2>/dev/null || true
        sleep 0.05
    done
}

# Ends whatever runs for this state directory and removes its files, all but the logs and the lock.
end_everything() {
    # shellcheck disable=SC2046 # one word per name
    kill_recorded $(recorded_processes)
    kill_until_gone processes unrecorded_pids
    clean_node
    rm -rf "${state:?}"/{state,etcd,apiserver,node,bin,argocd,discovery,kubeconfig,tokens.csv,sa.key,operator.tar}
}

# wait_for PROCESS WHAT COMMAND...: until the command succeeds. Gives up when the process has ended or patience has.
wait_for() {
    local process=$1 what=$2 deadline=$((SECONDS + patience)) log=$state/logs/$1.log
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! is_running "$process"; then
            tail -n 5 "$log" >&2 || true
            say "error: $process ended before $what; its log: $log"
            return 1
        fi
        if ((SECONDS >= deadline)); then
            tail -n 5 "$log" >&2 || true
            say "error: no $what within $patience s (ORCHESTRATOR_CLUSTER_TIMEOUT); log of $process: $log"
            return 1
        fi
        sleep 0.1
    done
}

# kubectl as the administrator of this control plane.
kubectl() { "$state/bin/kubectl" --kubeconfig "$state/kubeconfig" --cache-dir "$state/discovery" --request-timeout 10s "$@"; }
