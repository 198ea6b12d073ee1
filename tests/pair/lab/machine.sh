# Hosts: a systemd-nspawn container each, its root an overlay whose upper directory is in memory.

# --- control groups ---------------------------------------------------------------------------
# Without systemd on the machine that runs the lab, every nspawn would share the cgroup /payload,
# and two hosts would see and kill each other's services. So each host gets a cgroup of its own:
# in the unified tree and, where the old trees still exist beside it, in the one systemd uses.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  CGROUPS=(/sys/fs/cgroup/$NAME)
else
  CGROUPS=(/sys/fs/cgroup/unified/$NAME /sys/fs/cgroup/systemd/$NAME)
fi
CGROUP=${CGROUPS[0]}

cgroup_enter() { # HOST: moves this very shell
  local tree
  for tree in "${CGROUPS[@]}"; do mkdir -p "$tree/$1"; echo "$BASHPID" >"$tree/$1/cgroup.procs"; done
}

# SIGKILL to everything at once. Killing nspawn alone would leave the container running.
cgroup_kill() { # HOST
  [ -e "$CGROUP/$1/cgroup.kill" ] || return 0
  echo 1 >"$CGROUP/$1/cgroup.kill"
  local try
  for try in $(seq 200); do
    grep -q 'populated 0' "$CGROUP/$1/cgroup.events" && return
    sleep 0.02
  done
  die "$1: its processes do not go away"
}

cgroup_remove() { # HOST
  local tree
  for tree in "${CGROUPS[@]}"; do
    [ ! -d "$tree/$1" ] || find "$tree/$1" -depth -type d -exec rmdir {} + || true
    rmdir "$tree" 2>/dev/null || true
  done
}

# --- disks --------------------------------------------------------------------------------------
state_up() {
  mkdir -p "$STATE"
  mountpoint -q "$STATE" || mount -t tmpfs -o "size=${OTR_LAB_RAM:-8g},mode=755" "$NAME-state" "$STATE"
  [ -f "$STATE/id" ] || ssh-keygen -q -t ed25519 -N '' -C "$NAME" -f "$STATE/id"
  touch "$STATE/known_hosts"
}

overlay() { # LOWERS UPPER ROOT: UPPER/upper receives the changes; a directory below can be renamed
  mkdir -p "$2/upper" "$2/work" "$3"
  mount -t overlay "$NAME" -o "redirect_dir=on,lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$3"
}

lowers() { # LAYER HOST
  case $1 in
    min) echo "$LAYERS/min" ;;
    odoo) echo "$LAYERS/odoo:$LAYERS/min" ;;
    prod) echo "$LAYERS/prod:$LAYERS/odoo:$LAYERS/min" ;;
    bookworm | trixie) echo "$LAYERS/$1" ;;
    bare19) echo "$LAYERS/bare19" ;;
    odoo19) echo "$LAYERS/odoo19:$LAYERS/bare19" ;;
    prod19) echo "$LAYERS/prod19:$LAYERS/odoo19:$LAYERS/bare19" ;;
    @*) echo "$STATE/saved/${1#@}/$2/upper:$(cat "$STATE/saved/${1#@}/$2/lowers")" ;;
    *) die "no layer $1: there are min, odoo, prod, ${NEWER[*]}, bare19, odoo19, prod19 and @NAME of a save" ;;
  esac
}

# What makes a copy of a layer a machine of its own: name, identity, keys, who may log in.
personalise() { # HOST ROOT
  local host=$1 root=$2 user
  echo "$host" >"$root/etc/hostname"
  {
    echo 127.0.0.1 localhost
    for user in "${HOSTS[@]}"; do echo "${ADDRESS[$user]} $user"; done
  } >"$root/etc/hosts"
  tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
  ssh-keygen -q -t ed25519 -N '' -C "root@$host" -f "$root/etc/ssh/ssh_host_ed25519_key"
  # root; admin, who may sudo without a password; guest, who may not; odoo, where it exists.
  while IFS=: read -r user _ uid gid _ home _; do
    case $user in
      root | admin | guest | odoo)
        install -d -m 700 -o "$uid" -g "$gid" "$root$home/.ssh"
        install -m 600 -o "$uid" -g "$gid" "$STATE/id.pub" "$root$home/.ssh/authorized_keys"
        ;;
    esac
  done <"$root/etc/passwd"
}

verb_up() {
  [ $# -gt 0 ] || set -- erp1:prod erp2:min
  local wish host layer base
  state_up
  network_up
  for wish; do layer=${wish#*:}; ! is_newer "$layer" || newer "$layer"; done
  [ ! -e "$CACHE/debs/Release" ] || verb_repo
  for wish; do
    host=${wish%%:*} layer=${wish#*:}
    [ "$layer" != "$wish" ] || layer=min
    known "$host"
    [ ! -e "$STATE/$host" ] || die "$host exists already: lab.sh drop $host"
    base=$(lowers "$layer" "$host")
    [ -d "${base%%:*}" ] || die "layer $layer is not built: lab.sh base"
    mkdir -p "$STATE/$host"
    echo "$base" >"$STATE/$host/lowers"
    overlay "$base" "$STATE/$host" "$STATE/$host/root"
    case $layer in @*) ;; *) personalise "$host" "$STATE/$host/root" ;; esac
    sed -i "/^${ADDRESS[$host]} /d" "$STATE/known_hosts"
    echo "${ADDRESS[$host]} $(cut -d' ' -f1,2 "$STATE/$host/root/etc/ssh/ssh_host_ed25519_key.pub")" >>"$STATE/known_hosts"
    network_add "$host"
    power_on "$host"
  done
  for wish; do await_ssh "${wish%%:*}"; done
}

# A host's changes become a layer in memory; nothing is copied.
verb_save() {
  local host hosts=() to=$STATE/saved/$1
  [ ! -e "$to" ] || die "$1 is kept already"
  for host in "${HOSTS[@]}"; do [ ! -d "$STATE/$host" ] || hosts+=("$host"); done
  local stops=() stop
  for host in "${hosts[@]}"; do stop_clean "$host" & stops+=($!); done
  for stop in "${stops[@]}"; do wait "$stop"; done
  for host in "${hosts[@]}"; do
    umount "$STATE/$host/root"
    mkdir -p "$to/$host"
    mv "$STATE/$host/upper" "$STATE/$host/lowers" "$to/$host/"
    verb_drop "$host"
  done
  verb_restore "$1"
}

verb_kept() { [ ! -d "$STATE/saved" ] || ls "$STATE/saved"; }

verb_restore() {
  local host wishes=()
  [ -d "$STATE/saved/$1" ] || die "nothing is kept under $1"
  verb_drop "${HOSTS[@]}"
  for host in "$STATE/saved/$1"/*; do wishes+=("$(basename "$host"):@$1"); done
  verb_up "${wishes[@]}"
}

verb_drop() {
  local host device
  for host; do
    cgroup_kill "$host"
    if [ -f "$STATE/$host/loops" ]; then
      while read -r device; do losetup -d "$device" 2>/dev/null || true; done <"$STATE/$host/loops"
    fi
    ! mountpoint -q "$STATE/$host/root" || umount "$STATE/$host/root"
    network_remove "$host"
    rmdir "/run/systemd/nspawn/propagate/$NAME-$host" 2>/dev/null || true
    cgroup_remove "$host"
    rm -rf --one-file-system "${STATE:?}/$host"
    [ ! -f "$STATE/known_hosts" ] || sed -i "/^${ADDRESS[$host]} /d" "$STATE/known_hosts"
  done
}

# --- power --------------------------------------------------------------------------------------
is_on() { [ -e "$STATE/$1/pid" ]; }

power_on() { # HOST. With --keep-unit nspawn ends with 133 when the host reboots: start it again.
  local host=$1 dir=$STATE/$1 device loops=()
  for device in /dev/loop-control /dev/loop[0-9]*; do [ ! -e "$device" ] || loops+=("--bind=$device"); done
  (
    exec </dev/null >>"$dir/console.log" 2>&1
    cgroup_enter "$host"
    export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network dir
    # systemd 256 and later boots in the unified tree alone.
    ! grep -qE "/(trixie|bare19)$" "$dir/lowers" || export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
    exec setsid bash -c '
      trap "" TERM HUP
      while :; do
        systemd-nspawn "$@" & echo $! >"$dir/pid"; wait $!; code=$?
        echo "[lab] nspawn ended with $code"
        [ $code = 133 ] || break
      done
      rm -f "$dir/pid"' nspawn \
      --quiet --register=no --keep-unit --kill-signal=SIGRTMIN+3 --boot --directory="$dir/root" \
      --machine="$NAME-$host" --hostname="$host" --network-namespace-path="/run/netns/$NAME-$host" \
      --capability=CAP_NET_ADMIN,CAP_LINUX_IMMUTABLE "${loops[@]}" --bind=/dev/fuse --resolv-conf=off --timezone=off --link-journal=no --console=pipe
  ) &
  disown
}

stop_clean() { # HOST
  local try
  is_on "$1" || return 0
  kill -TERM "$(cat "$STATE/$1/pid")" 2>/dev/null || true
  for try in $(seq 600); do is_on "$1" || break; sleep 0.05; done
  if is_on "$1"; then cgroup_kill "$1"; rm -f "$STATE/$1/pid"; die "$1 did not stop in 30 s and was killed"; fi
}

await_ssh() { # HOST
  local try
  for try in $(seq 600); do
    if verb_ssh "$1" true </dev/null 2>/dev/null; then say "$1 is up"; return; fi
    sleep 0.05
  done
  tail -5 "$STATE/$1/console.log" >&2
  die "$1 does not answer ssh after 30 s"
}

verb_down() { local host; for host; do stop_clean "$host"; say "$host is off"; done; }
verb_boot() {
  local host
  for host; do ! is_on "$host" || die "$host is on"; power_on "$host"; done
  for host; do await_ssh "$host"; done
}
# Nothing leaves the host any more: neither a goodbye nor what its kernel has yet to send.
verb_kill() {
  local host
  for host; do
    ip -n "$NAME" link set "v-$host" down
    cgroup_kill "$host"
    network_anew "$host"
    # A host that was frozen boots thawed. And in a cgroup that was once killed, what a newer systemd
    # starts right into it (CLONE_INTO_CGROUP) dies at once.
    [ ! -e "$CGROUP/$host/payload/cgroup.freeze" ] || echo 0 >"$CGROUP/$host/payload/cgroup.freeze"
    cgroup_remove "$host"
    rm -f "$STATE/$host/pid"
    rmdir "/run/systemd/nspawn/propagate/$NAME-$host" 2>/dev/null || true
    say "$host lost its power"
  done
}
verb_freeze() { local host; for host; do echo 1 >"$CGROUP/$host/payload/cgroup.freeze"; done; }
verb_thaw() { local host; for host; do echo 0 >"$CGROUP/$host/payload/cgroup.freeze"; done; }

# --- inside -------------------------------------------------------------------------------------
verb_ssh() {
  local host=$1
  shift
  known "$host"
  in_driver ssh -i "$STATE/id" -F none -o UserKnownHostsFile="$STATE/known_hosts" -o StrictHostKeyChecking=yes \
    -o LogLevel=ERROR -o BatchMode=yes -o ConnectTimeout=2 "root@${ADDRESS[$host]}" "$@"
}

verb_in() {
  local host=$1 leader
  shift
  leader=$(head -1 "$CGROUP/$host/payload/init.scope/cgroup.procs")
  nsenter -t "$leader" -m -u -i -n -p -- "$@"
}

verb_disk() { # HOST PATH MB
  local host=$1 path=$2 image=$STATE/$1/disk${2//\//_}.img device minor
  truncate -s "${3}M" "$image"
  mkfs.ext4 -q -F "$image"
  device=$(losetup -f --show "$image")
  echo "$device" >>"$STATE/$host/loops"
  minor=$((16#$(stat -c %T "$device")))
  verb_in "$host" sh -ec "[ -e $device ] || mknod $device b 7 $minor; mkdir -p $path; mount $device $path"
}
