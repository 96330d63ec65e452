# shellcheck shell=bash
# The real node: containerd and kubelet, with the images that tests use. Sourced after lib.sh.
#
# Both live in a mount namespace of their own, where the paths that they have compiled in are directories of this
# control plane. So two nodes on one machine do not meet, and every mount is gone with the last of their processes.
# What a mount namespace does not hold is taken away by clean_node: the bridge and the socket directory, named by the
# hash of the state directory, and the control groups of the containers, named by their unique identifiers.

node=$state/node
hash=$(state_hash)
bridge=orch-$hash
network=orchestrator-$hash
# Unix socket paths end at 108 bytes, and the state directory may be longer.
sockets=/run/orchestrator-$hash

# Paths on the machine that containerd and kubelet use whatever their configuration says.
compiled_in=(/run/containerd /var/lib/cni /var/lib/kubelet /var/log/containers /var/log/pods)

# Directories of the Container Network Interface's plugins: Debian's, and everybody else's.
plugins_directory() {
    local directory
    for directory in /usr/lib/cni /opt/cni/bin; do
        if [[ -x $directory/bridge && -x $directory/host-local && -x $directory/loopback ]]; then
            printf '%s\n' "$directory"
            return
        fi
    done
}

# Why this machine cannot have a node; empty when it can.
node_obstacle() {
    local missing
    if ((EUID != 0)); then
        echo "kubelet and containerd need root"
        return
    fi
    missing=$("$here/packages" --list)
    if [[ -n $missing ]]; then
        echo "missing ${missing//$'\n'/ }; tests/cluster/packages installs it"
        return
    fi
    unshare --mount true 2>/dev/null || echo "this machine does not let root make a mount namespace"
}

# start_containerd TOOLS: the container runtime, with its images; start_kubelet follows.
start_containerd() {
    local tools=$1 directory
    mkdir -p "$sockets" "$node"/{images,opt} "${compiled_in[@]}"
    for directory in "${compiled_in[@]}"; do
        mkdir -p "$node$directory"
    done
    remember containerd "$sockets/containerd.sock"
    write_network || return
    write_containerd_configuration
    # The proxy is a closed port: no image is ever pulled, and what a test sees does not depend on the network.
    # shellcheck disable=SC2016 # expanded by the inner shell
    start_process containerd env HTTPS_PROXY=http://127.0.0.1:1 HTTP_PROXY=http://127.0.0.1:1 unshare --mount --propagation private bash -c '
        set -e
        node=$1; shift
        mount --make-rshared /
        for directory in "$@"; do mount --bind "$node$directory" "$directory"; done
        exec containerd --config "$node/containerd.toml"
    ' containerd "$node" "${compiled_in[@]}"
    wait_for containerd "answer of containerd" containerd_client version || return
    "$tools/tool" image pause:test "$node/images/pause.tar" '["/pause"]' "$tools/pause:/pause" || return
    "$tools/tool" image busybox:1.37 "$node/images/busybox.tar" '[]' "$(command -v busybox):/bin/busybox" || return
    local image
    for image in pause busybox; do
        containerd_client images import --snapshotter native "$node/images/$image.tar" >>"$state/logs/images.log" 2>&1 ||
            { say "error: cannot import the image $image, see $state/logs/images.log" && return 1; }
    done
}

containerd_client() { ctr --address "$sockets/containerd.sock" --namespace k8s.io "$@"; }

# Takes the first free one of 256 networks, beginning at one that depends on the state directory, and makes its bridge.
# Left to the plugin, the bridge would come with the first pod, and a second node could take the same network until then.
write_network() {
    local start=$((16#${hash:0:2})) offset subnet
    for ((offset = 0; offset < 256; offset++)); do
        subnet=10.244.$(((start + offset) % 256))
        # The default route matches every address and does not count.
        [[ -n $(ip -4 route show to match "$subnet.1" | grep -v '^default') ]] || break
    done
    ((offset < 256)) || { say "error: no free network: this machine has routes to all of 10.244.0.0/16" && return 1; }
    remember pod_network "$subnet.0/24"
    remember host_address "$subnet.1"
    { ip link add "$bridge" type bridge && ip address add "$subnet.1/24" dev "$bridge" && ip link set "$bridge" up; } || return
    mkdir -p "$node/network"
    cat >"$node/network/orchestrator.conflist" <<EOF
{
  "cniVersion": "0.4.0",
  "name": "$network",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "$bridge",
      "isGateway": true,
      "ipMasq": false,
      "ipam": {"type": "host-local", "dataDir": "$node/addresses", "ranges": [[{"subnet": "$subnet.0/24"}]]}
    },
    {"type": "loopback"}
  ]
}
EOF
}

write_containerd_configuration() {
    cat >"$node/containerd.toml" <<EOF
version = 2
root = "$node/containerd"
state = "$sockets/state"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "$sockets/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$node/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "pause:test"
  # Many sandboxes lack CAP_SYS_RESOURCE, without which a score cannot be lowered.
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$(plugins_directory)"
    conf_dir = "$node/network"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    # Overlay may be missing. This snapshotter copies, and the images are small.
    snapshotter = "native"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
EOF
}

# start_kubelet TOOLS PORT HEALTH_PORT: the API server answers and containerd runs. Returns when pods can be scheduled.
start_kubelet() {
    local tools=$1 port=$2 health_port=$3
    remember kubelet_port "$port"
    # The thresholds keep a fuller disk than the kubelet likes from evicting pods or deleting images that nothing can bring back.
    cat >"$node/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
address: 127.0.0.1
port: $port
healthzBindAddress: 127.0.0.1
healthzPort: $health_port
containerRuntimeEndpoint: unix://$sockets/containerd.sock
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
maxPods: 200
resolvConf: ""
volumePluginDir: $node/volume-plugins
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}
EOF
    # The name makes kubectl logs and exec work: the API server connects to the node under it.
    start_process kubelet nsenter --mount="/proc/$(pid_of containerd)/ns/mnt" -- \
        "$tools/kubelet" --config "$node/kubelet.yaml" --kubeconfig "$state/kubeconfig" --hostname-override localhost
    wait_for kubelet "ready node" node_is_ready
}

# Ready, and without the taint that a new node carries until the node controller has seen it.
node_is_ready() {
    [[ $(kubectl get node localhost -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}{.spec.taints}') == True ]]
}

# Control groups of the containers that containerd has not seen ending.
container_groups() {
    local bundle
    for bundle in "$sockets"/state/io.containerd.runtime.v2.task/k8s.io/*; do
        [[ ! -d $bundle ]] || find /sys/fs/cgroup -maxdepth 3 -type d -path "*/k8s.io/${bundle##*/}"
    done
}

# pids_in GROUP...: the processes in these control groups and the ones below. They do not carry the mark of start_process.
pids_in() { find "$@" -name cgroup.procs -exec cat {} + 2>/dev/null || true; }

# Ends the containers and removes what the node has left outside the state directory. Nothing else of the node runs any more.
clean_node() {
    ((EUID == 0)) || return 0
    local groups
    mapfile -t groups < <(container_groups)
    if ((${#groups[@]} > 0)); then
        kill_until_gone containers pids_in "${groups[@]}"
        find "${groups[@]}" -depth -type d -exec rmdir {} + || say "warning: control groups of containers are left"
    fi
    # The parent is shared by all nodes: it goes when it is empty.
    find /sys/fs/cgroup -maxdepth 2 -type d -name k8s.io -exec rmdir {} + 2>/dev/null || true
    if [[ -d /sys/class/net/$bridge ]]; then
        ip link delete "$bridge" || say "warning: the bridge $bridge is left"
    fi
    rm -rf "${sockets:?}"
}

# Ends the node, or what an interrupted start has left of one, while the control plane goes on.
end_node() {
    kill_recorded kubelet containerd
    kill_until_gone processes unrecorded_pids
    clean_node
    rm -rf "${node:?}"
}
