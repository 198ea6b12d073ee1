# Asks Odoo for a database's login page as a browser does: at the port its service listens on, by a host
# name that its dbfilter lets through, and without going where it is sent instead of logging in.
# Arguments: its unit (or nothing), its configuration, its port where that is not seen, the database.
import configparser, http.client, json, os, re, subprocess, sys
from urllib.parse import urljoin, urlsplit

unit, config, port, database = (sys.argv[1:] + [""] * 4)[:4]
port = int(port)


def words(path, split="\0"):
    try:
        with open(path, errors="replace") as file:
            return [word for word in file.read().split(split) if word]
    except OSError:
        return []


def processes():
    if not unit:
        return []
    show = ["systemctl", "show", "-p", "ControlGroup", "--value", unit]
    group = subprocess.run(show, stdout=subprocess.PIPE, universal_newlines=True).stdout.strip()
    pids = set()
    for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"):
        for folder, _, files in os.walk(base + group) if group else ():
            pids.update(words(folder + "/cgroup.procs", "\n"))
    return sorted(int(pid) for pid in pids)


def listeners(pids):
    """Address and port of each listening socket, and the oldest process that has it."""
    holders = {}
    for pid in pids:
        try:
            for name in os.listdir("/proc/%d/fd" % pid):
                target = os.readlink("/proc/%d/fd/%s" % (pid, name))
                if target.startswith("socket:["):
                    holders.setdefault(target[8:-1], pid)
        except OSError:
            pass
    found = []
    for name in ("tcp", "tcp6"):
        for line in words("/proc/%d/net/%s" % (pids[0], name), "\n")[1:] if pids else ():
            fields = line.split()
            if fields[3] == "0A" and fields[9] in holders:
                address, number = fields[1].split(":")
                raw = bytes.fromhex(address)
                if len(raw) == 4:
                    address = ".".join(str(byte) for byte in reversed(raw))
                    address = "127.0.0.1" if address == "0.0.0.0" else address
                elif raw[:12] == bytes(8) + b"\xff\xff\0\0":
                    address = ".".join(str(byte) for byte in reversed(raw[12:]))
                elif any(raw):
                    import socket
                    address = socket.inet_ntop(socket.AF_INET6, b"".join(raw[at:at + 4][::-1] for at in (0, 4, 8, 12)))
                else:
                    address = "127.0.0.1"
                found.append((address, int(number, 16), holders[fields[9]]))
    return found


pids = processes()
heard = listeners(pids)
line = next((said for said in (words("/proc/%d/cmdline" % pid) for pid in pids) if len(said) > 1), [])


def flag(*names):
    value = None
    for at, word in enumerate(line):
        for name in names:
            if word.startswith(name + "="):
                value = word[len(name) + 1:]
            elif word == name and at + 1 < len(line):
                value = line[at + 1]
            elif len(name) == 2 and word.startswith(name) and len(word) > 2:
                value = word[2:]
    return value


environment = dict(word.split("=", 1) for word in words("/proc/%d/environ" % pids[0]) if "=" in word) if pids else {}
config = flag("-c", "--config") or environment.get("ODOO_RC") or config
parser = configparser.RawConfigParser(strict=False)
try:
    parser.read([config])
except Exception:
    pass


def option(keys, flags=()):
    said = flag(*flags) if flags else None
    for key in keys:
        if said is None and parser.has_option("options", key):
            said = parser.get("options", key)
    return None if said is None or said.strip() in ("", "False", "None", "false") else said.strip()


def number(text, default):
    try:
        return int(text)
    except (TypeError, ValueError):
        return default


wanted = number(option(["http_port", "xmlrpc_port"], ["-p", "--http-port", "--xmlrpc-port"]), port)
gevent = number(option(["gevent_port", "longpolling_port"], ["--gevent-port", "--longpolling-port"]), 8072)
workers = number(option(["workers"], ["--workers"]), 0)
serving = [one for one in heard if one[1] == wanted] or sorted((one for one in heard if one[1] != gevent), key=lambda one: one[2])
address, port = serving[0][:2] if serving else (option(["http_interface", "xmlrpc_interface"]) or "127.0.0.1", wanted)
if address in ("0.0.0.0", "::"):
    address = "127.0.0.1"

filters = option(["dbfilter"], ["--db-filter"])
named = option(["db_name"], ["-d", "--database"])


def passes(host):
    name, _, rest = host.partition(".")
    if name == "www" and rest:
        name = rest.partition(".")[0]
    return re.match(filters.replace("%h", re.escape(host)).replace("%d", re.escape(name)), database)


def host_for():
    """A host name that the filter lets through to the database; None if there is none."""
    if not database or not filters:
        return address
    hosts = [address, database, database + ".localdomain"]
    pattern = filters
    for word, name in (("%h", "h"), ("%d", "d")):
        if word in pattern:
            pattern = pattern.replace(word, "(?P<%s>[^/]+)" % name, 1).replace(word, "(?P=%s)" % name)
    try:
        match = re.match("(?:%s)$" % pattern.replace("$", ""), database)
        found = match.groupdict() if match else {}
    except re.error:
        found = {}
    if "h" in found:
        hosts.insert(0, found["h"])
    if "d" in found:
        hosts.insert(0, found["d"] + ".localdomain")
    try:
        return next((host for host in hosts if passes(host)), None)
    except re.error:
        return None


cookies = {}


def get(path, host, to=None):
    link = http.client.HTTPConnection(address, to or port, timeout=20)
    headers = {"Host": host if to is None and port == 80 else "%s:%d" % (host, to or port), "Accept": "text/html"}
    if cookies:
        headers["Cookie"] = "; ".join("%s=%s" % pair for pair in cookies.items())
    try:
        link.request("GET", path, headers=headers)
        answer = link.getresponse()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                cookies[key.strip()] = rest.partition(";")[0]
        return answer.status, answer.read(), answer.getheader("Location"), None
    except Exception as error:
        return 0, b"", None, str(error) or type(error).__name__
    finally:
        link.close()


def log():
    """The last line of its log that says what is wrong."""
    for pid in pids:
        for name in os.listdir("/proc/%d/fd" % pid) if os.access("/proc/%d/fd" % pid, os.R_OK) else ():
            try:
                path = os.readlink("/proc/%d/fd/%s" % (pid, name))
                if path.endswith(".log") and os.path.isfile(path):
                    with open(path, "rb") as file:
                        file.seek(max(0, os.path.getsize(path) - 65536))
                        lines = file.read().decode("utf-8", "replace").splitlines()
                    bad = [said for said in lines if re.search(r" CRITICAL |FATAL|Error: |Exception: ", said)]
                    return bad[-1].strip()[-300:] if bad else None
            except OSError:
                pass
    return None


def page():
    host = host_for()
    if host is None:
        return {"status": 0, "refused": "dbfilter %s lets no host name through to database %s" % (filters, database)}
    if database and not filters and named and database not in [name.strip() for name in named.split(",")]:
        return {"status": 0, "refused": "db_name is %s, so Odoo does not serve database %s" % (named, database)}
    at = "/web/login" + ("?db=" + database if database else "")
    for _ in range(6):
        status, text, location, error = get(at, host)
        if status not in (301, 302, 303, 307, 308) or not location:
            break
        to = urlsplit(urljoin("http://%s:%d%s" % (host, port, at), location))
        path = to.path + ("?" + to.query if to.query else "")
        if to.hostname not in (host.lower(), address):
            return {"status": status, "ended": location.split("?")[0]}
        if to.path.startswith("/web/database/"):
            return {"status": status, "ended": to.path}
        at = path
    found = sorted(set(re.findall(r'["\'](/web/(?:assets|content)/[^"\'<> ]+)', text.decode("utf-8", "replace"))))
    return {"status": status, "error": error, "assets": [{"path": p, "status": get(p.replace("&amp;", "&"), host)[0]} for p in found]}


answer = page()
answer["at"] = "%s:%d" % (address, port)
if unit and workers > 0 and answer["status"]:
    status = get("/websocket/health", address, gevent)[0] if not heard or any(one[1] == gevent for one in heard) else 0
    answer["websocket"] = {"path": "port %d" % gevent, "status": status}
if answer["status"] != 200 or answer.get("error"):
    answer["log"] = log()
print(json.dumps(answer))
