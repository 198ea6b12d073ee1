//! memcached on every member, where sessions are to be kept in it.

use super::{List, root_file};
use crate::resource::ResourceId;
use crate::resource::file::File;
use crate::resource::unit::Unit;
use crate::secret::Text;

const CONFIG: &str = "/etc/memcached.conf";

/// Its file and its service. A change restarts it, and it forgets everything.
pub fn server(list: &mut List<'_>, software: &[ResourceId]) -> Vec<ResourceId> {
    let (Some(wish), Some(attributes)) = (list.spec().memcached(), root_file(0o644)) else { return Vec::new() };
    let Ok(unit) = "memcached.service".parse() else { return Vec::new() };
    let text = format!(
        "# Written by otr.\n-d\nlogfile /var/log/memcached.log\n-m {}\n-p {}\n-u memcache\n-l {}\n-c {}\n-P /var/run/memcached/memcached.pid\n",
        wish.memory.0 >> 20,
        wish.port,
        wish.listen,
        wish.connections
    );
    let host = list.host.clone();
    let file = list.add(File { host: host.clone(), path: CONFIG.into(), content: Ok(Text::Plain(text)), attributes }, software);
    let runs = Unit { host, unit, state: list.running(), reads: vec![CONFIG.into()], reloads: false };
    vec![list.add(runs, std::slice::from_ref(&file)), file]
}
