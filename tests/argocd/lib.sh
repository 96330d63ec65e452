# shellcheck shell=bash
# Shared by up and down: Argo CD keeps its files, and the record of its processes, in a directory within those of a
# control plane, and uses the library of the control plane for both. Sourced, never run.

argocd=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$argocd/../.." && pwd)
# shellcheck source=../cluster/lib.sh
source "$root/tests/cluster/lib.sh"
control_plane=$state
state=$control_plane/argocd
# Unix socket paths end at 108 bytes, and the state directory may be longer.
ask_pass=$state/ask-pass.sock
((${#ask_pass} < 108)) || ask_pass=/tmp/orchestrator-$(state_hash).sock

kubectl() {
    "$control_plane/bin/kubectl" --kubeconfig "$control_plane/kubeconfig" --cache-dir "$control_plane/discovery" --request-timeout 30s "$@"
}

# What the control plane says about itself.
recall_of_control_plane() { sed -n "s/^$1=//p" "$control_plane/state" 2>/dev/null | tail -n 1; }

# Ends whatever runs here and removes its files, all but the lock; the logs lie with those of the control plane.
end_argocd() {
    # shellcheck disable=SC2046 # one word per name
    kill_recorded $(recorded_processes)
    kill_until_gone processes unrecorded_pids
    rm -f "$ask_pass"
    find "${state:?}" -mindepth 1 -maxdepth 1 ! -name lock ! -name logs -exec rm -rf {} +
}
