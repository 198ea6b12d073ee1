//! 22: sessions in servers that no module of the table reaches: memcached, with a module of the
//! user's own, and a Redis Cluster that otr finds and does not set up.

use anyhow::{Context, Result, ensure};

use crate::odoo;
use crate::pair::{Pair, Scene};
use crate::runner::Chapter;

const SPEC: &str = "servers.yaml";

/// What somebody would write who wants it: the session store of werkzeug, over memcached's protocol.
const MODULE: &str = r#"import os, pickle, socket
from odoo import http
from odoo.tools._vendor.sessions import SessionStore
from odoo.tools.func import lazy_property

class Store(SessionStore):
    def ask(self, text, end):
        host, port = os.environ["ACME_SESSIONS"].split(":")
        with socket.create_connection((host, int(port)), 5) as server:
            server.sendall(text)
            said = b""
            while not said.endswith(end):
                said += server.recv(65536)
            return said
    def save(self, session):
        body = pickle.dumps(dict(session))
        self.ask(b"set acme:%s 0 3600 %d\r\n%s\r\n" % (session.sid.encode(), len(body), body), b"STORED\r\n")
    def delete(self, session):
        self.ask(b"delete acme:%s\r\n" % session.sid.encode(), b"\r\n")
    def get(self, sid):
        said = self.ask(b"get acme:%s\r\n" % sid.encode(), b"END\r\n") if self.is_valid_key(sid) else b"END\r\n"
        if said == b"END\r\n":
            return self.new()
        head, rest = said.split(b"\r\n", 1)
        return self.session_class(pickle.loads(rest[:int(head.split()[3])]), sid, False)

http.Root.session_store = lazy_property(lambda self: Store(session_class=http.OpenERPSession))
http.session_gc = lambda store: None
"#;

pub fn chapter() -> Chapter {
    Chapter::new("session_servers", Scene::Standby)
        .step("memcached_is_set_up_and_a_module_of_ones_own_is_told_where_it_is", |pair| {
            pair.lab.call(&["debs", "memcached"])?;
            for host in ["erp1", "erp2"] {
                let at = "/usr/lib/python3/dist-packages/odoo/addons/acme_session_store";
                pair.lab.put(host, &format!("{at}/__init__.py"), "0644", MODULE.as_bytes())?;
                pair.lab.put(host, &format!("{at}/__manifest__.py"), "0644", b"{'name': 'acme', 'depends': ['base']}\n")?;
            }
            vary(pair, "sessions: {store: memcached, module: acme_session_store, memcached: {memory: 16mb}, environment: {ACME_SESSIONS: \"127.0.0.1:11211\"}}\n")?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            odoo::log_in(&pair.lab, "erp1", &folder(pair)?)?;
            odoo::still_logged_in(&pair.lab, "erp1", &folder(pair)?)?;
            let status = pair.otr.run(SPEC, "status")?.said();
            let held = status.lines().filter(|line| line.contains("memcached ") && line.contains("of 16 MiB used"));
            ensure!(held.clone().count() == 2 && held.clone().any(|line| !line.contains(" 0 items")), "status: {status}");
            Ok(())
        })
        .step("it_is_stopped_and_comes_back_empty", |pair| {
            pair.lab.sh("erp1", "systemctl stop memcached")?;
            let drift = pair.otr.run(SPEC, "plan --json")?.json()?.drift();
            ensure!(drift.iter().any(|line| line.contains("unit memcached.service")), "plan sees {drift:?}");
            ensure!(pair.otr.run(SPEC, "status")?.said().contains("memcached   down"), "status does not see it");
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.otr.run(SPEC, "sync --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            ensure!(odoo::still_logged_in(&pair.lab, "erp1", &folder(pair)?).is_err(), "memcached kept a session over its restart");
            Ok(())
        })
        .step("a_redis_cluster_is_reached_from_both_hosts_and_its_health_is_known", |pair| {
            pair.lab.sh("erp1", NODES)?;
            pair.lab.wait("the cluster", 20, |lab| Ok(lab.sh("erp1", "redis-cli -p 7000 -a cluster-word --no-auth-warning cluster info")?.contains("cluster_state:ok")))?;
            std::fs::write(folder(pair)?.join("cluster-word"), "cluster-word")?;
            vary(pair, CLUSTER)?;
            pair.otr.run(SPEC, "apply --yes --restarts --json")?.ended(0)?;
            pair.nothing_differs(SPEC)?;
            let status = pair.otr.run(SPEC, "status")?.said();
            ensure!(status.matches("cluster ok, 3 primaries of 3 nodes, 16384 of 16384 slots").count() == 2, "status: {status}");
            ensure!(pair.lab.holds("erp2", "test $(stat -c %a:%U /etc/otr/session-server) = 600:root")?, "others may read the password");
            Ok(())
        })
        .step("a_node_is_lost_and_plan_says_what_is_out_of_reach", |pair| {
            pair.lab.sh("erp1", "redis-cli -p 7002 -a cluster-word --no-auth-warning shutdown nosave || :")?;
            pair.lab.wait("the cluster's own verdict", 20, |lab| {
                Ok(lab.sh("erp1", "redis-cli -p 7000 -a cluster-word --no-auth-warning cluster info")?.contains("cluster_state:fail"))
            })?;
            let plan = pair.otr.run(SPEC, "plan --only redis --json")?.said();
            ensure!(plan.matches("of 16384 slots are served").count() == 2, "plan: {plan}");
            ensure!(!plan.contains("cluster-word"), "plan tells the password");
            pair.lab.sh("erp1", "for p in 7000 7001; do redis-cli -p $p -a cluster-word --no-auth-warning shutdown nosave || :; done")?;
            let plan = pair.otr.run(SPEC, "plan --only redis --json")?.said();
            ensure!(plan.contains("erp2 does not reach the Redis 10.77.0.11:7000"), "plan: {plan}");
            Ok(())
        })
}

/// Three primaries without replicas, on one host: what is tried is otr's view of them.
const NODES: &str = "for p in 7000 7001 7002; do mkdir -p /run/cluster/$p\n\
    redis-server --port $p --dir /run/cluster/$p --cluster-enabled yes --cluster-node-timeout 2000 --requirepass cluster-word --masterauth cluster-word \
    --daemonize yes --protected-mode no --bind 0.0.0.0 --save '' >/dev/null; done; sleep 1\n\
    redis-cli -a cluster-word --no-auth-warning --cluster create 10.77.0.11:7000 10.77.0.11:7001 10.77.0.11:7002 --cluster-yes >/dev/null";
const CLUSTER: &str = "sessions:\n  store: redis\n  module: acme_cluster_store\n  server: {host: 10.77.0.11, port: 7000, cluster: true, password: {secret: \"file:cluster-word\"}}\n";

fn vary(pair: &Pair, more: &str) -> Result<()> {
    pair.otr.vary("pair.yaml", SPEC, |text| text + more)
}

fn folder(pair: &Pair) -> Result<std::path::PathBuf> {
    Ok(pair.otr.spec(SPEC).parent().context("a spec lies somewhere")?.to_owned())
}
