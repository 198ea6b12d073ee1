# The lab's network: a namespace with a bridge, in which the driver and the repository live, and
# one namespace per host. Nothing of it is visible to the machine that runs the lab.

in_driver() { ip netns exec "$NAME" "$@"; }
has_namespace() { [ -e "/run/netns/$1" ]; }

network_up() {
  has_namespace "$NAME" && return
  ip netns add "$NAME"
  ip -n "$NAME" link set lo up
  ip -n "$NAME" link add br0 type bridge
  ip -n "$NAME" addr add "$DRIVER/24" dev br0
  ip -n "$NAME" link set br0 up
}

network_add() { # HOST
  local ns=$NAME-$1
  has_namespace "$ns" && return
  ip netns add "$ns"
  # A machine keeps its hardware address, so nobody has to find it anew.
  ip -n "$NAME" link add "v-$1" type veth peer name eth0 address "02:00:00:00:00:${ADDRESS[$1]##*.}" netns "$ns"
  ip -n "$NAME" link set "v-$1" master br0 up
  ip -n "$ns" link set lo up
  ip -n "$ns" addr add "${ADDRESS[$1]}/24" dev eth0
  ip -n "$ns" link set eth0 up
}

network_remove() { # HOST
  # The kernel clears a namespace later; the cable's name must be free at once.
  ip -n "$NAME" link del "v-$1" 2>/dev/null || true
  ! has_namespace "$NAME-$1" || ip netns del "$NAME-$1"
}

# Another network stack of the same host, with what is cut off it still cut off.
network_anew() { # HOST
  local cuts
  cuts=$(ip netns exec "$NAME-$1" nft list ruleset)
  network_remove "$1"
  network_add "$1"
  ip netns exec "$NAME-$1" nft -f - <<<"$cuts"
}

network_down() {
  if [ -f "$STATE/repo.pid" ]; then kill "$(cat "$STATE/repo.pid")" 2>/dev/null || true; fi
  ! has_namespace "$NAME" || ip netns del "$NAME"
  # `ip netns` mounts the directory and leaves it behind.
  if mountpoint -q /run/netns && [ -z "$(ls -A /run/netns)" ]; then umount /run/netns && rmdir /run/netns; fi
}

verb_drv() { in_driver "$@"; }

verb_link() { known "$1"; ip -n "$NAME" link set "v-$1" "$2"; }

verb_rate() {
  known "$1"
  ip netns exec "$NAME-$1" tc qdisc del dev eth0 root 2>/dev/null || true
  [ -z "${2-}" ] || ip netns exec "$NAME-$1" tc qdisc add dev eth0 root tbf rate "$2" burst 32kbit latency 400ms
}

# Each drops what comes from the other, so that a cut looks the same from both sides.
verb_cut() {
  known "$1"; known "$2"
  drop_from "$1" "$2"
  drop_from "$2" "$1"
}
drop_from() { # HOST PEER
  ip netns exec "$NAME-$1" nft -f - <<NFT
table inet cut_$2 { chain input { type filter hook input priority 0; ip saddr ${ADDRESS[$2]} drop; }; }
NFT
}
verb_heal() {
  ip netns exec "$NAME-$1" nft delete table inet "cut_$2"
  ip netns exec "$NAME-$2" nft delete table inet "cut_$1"
}

# Nothing that the driver sends to a port arrives.
verb_shut() { # HOST PORT
  known "$1"
  ip netns exec "$NAME-$1" nft -f - <<NFT
table inet shut { chain input { type filter hook input priority 0; ip saddr $DRIVER tcp dport $2 drop; }; }
NFT
}
# No new connection is taken, from anybody; those that stand go on.
verb_deaf() { # HOST
  known "$1"
  ip netns exec "$NAME-$1" nft -f - <<NFT
table inet shut { chain input { type filter hook input priority 0; iifname eth0 tcp flags & (syn | ack) == syn drop; }; }
NFT
}
verb_open() { ip netns exec "$NAME-$1" nft delete table inet shut; }

# The hosts' only source of software: every package production has, and the wheels.
verb_repo() {
  [ -e "$CACHE/debs/Release" ] || die "no packages in the cache: run lab.sh base"
  network_up
  state_up
  if [ -f "$STATE/repo.pid" ] && kill -0 "$(cat "$STATE/repo.pid")" 2>/dev/null; then return; fi
  # exec all the way down, so that the process number kept is the server's own.
  (cd "$CACHE" && exec setsid ip netns exec "$NAME" python3 -m http.server --bind "$DRIVER" 8000 </dev/null >/dev/null 2>&1) &
  echo $! >"$STATE/repo.pid"
  disown
}
