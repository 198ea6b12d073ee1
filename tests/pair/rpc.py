"""Talks to Odoo as a user would. Prints one JSON value; ends with 1 and a sentence if Odoo does not answer.

  rpc.py URL DATABASE login            the login page and every asset it names: {status, assets: {url: status}}
  rpc.py URL DATABASE create NAME      an attachment and a contact of that name: {id, sha1, store_fname, contact}
  rpc.py URL DATABASE read NAME        {id, sha1 of the bytes RPC gives, web_sha1 of those /web/content gives}
  rpc.py URL DATABASE fill COUNT       COUNT attachments of different sizes
  rpc.py URL DATABASE many COUNT NAME  COUNT small attachments, 50 to a transaction
  rpc.py URL DATABASE keep FILE        makes attachments for ever, and notes in FILE each that was acknowledged
"""
import base64, hashlib, http.client, json, random, re, sys, time, urllib.error, urllib.request

URL, DATABASE, VERB, *ARGUMENTS = sys.argv[1:]
USER, PASSWORD, PATIENCE = "admin", "admin", 60  # seconds


def get(path):
    """Status and bytes; an answer that is an error is an answer."""
    try:
        with urllib.request.urlopen(URL + path, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def rpc(service, method, *arguments):
    body = {"jsonrpc": "2.0", "method": "call", "id": 1, "params": {"service": service, "method": method, "args": arguments}}
    request = urllib.request.Request(URL + "/jsonrpc", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer = json.load(answer)
    if "error" in answer:  # which Odoo sends with status 200
        raise SystemExit(f"{method}: {answer['error'].get('data', answer['error']).get('message')}")
    return answer["result"]


def odoo(model, method, *arguments, **options):
    global uid
    if "uid" not in globals():
        uid = rpc("common", "login", DATABASE, USER, PASSWORD)
        if not uid:
            raise SystemExit("login refused")
    return rpc("object", "execute_kw", DATABASE, uid, PASSWORD, model, method, list(arguments), options)


def sha1(content):
    return hashlib.sha1(content).hexdigest()


def attachment(name, content):
    return {"name": name, "datas": base64.b64encode(content).decode(), "public": True}


def login():
    status, page = get("/web/login")
    urls = sorted({url.decode() for url in re.findall(rb'(?:src|href)="(/web/(?:assets|content|static)[^"]*)"', page)})
    return {"status": status, "assets": {url: get(url)[0] for url in urls}}


def create(name):
    content = (f"attachment {name}\n" * 1000).encode()
    number = odoo("ir.attachment", "create", [attachment(name, content)])[0]
    contact = odoo("res.partner", "create", [{"name": name}])[0]
    where = odoo("ir.attachment", "search_read", [["id", "=", number]], fields=["checksum"])[0]["checksum"]
    return {"id": number, "sha1": sha1(content), "store_fname": f"{where[:2]}/{where}", "contact": contact}


def read(name):
    found = odoo("ir.attachment", "search_read", [["name", "=", name]], fields=["datas"])
    if not found:
        raise SystemExit(f"no attachment {name}")
    number = found[0]["id"]
    status, content = get(f"/web/content/{number}")
    return {"id": number, "sha1": sha1(base64.b64decode(found[0]["datas"] or "")), "web_status": status, "web_sha1": sha1(content)}


def fill(count):
    chance = random.Random(14)  # always the same files
    files = [attachment(f"scan-{n:03}.bin", chance.randbytes(200 + 37 * n * n)) for n in range(int(count))]
    return odoo("ir.attachment", "create", files)


def many(count, name):
    chance = random.Random(name)
    for first in range(0, int(count), 50):
        odoo("ir.attachment", "create", [attachment(f"{name}-{n}", chance.randbytes(500 + n % 3000)) for n in range(first, first + 50)])
    return int(count)


def keep(log):
    while True:
        try:
            content = f"kept {time.time_ns()}".encode()
            odoo("ir.attachment", "create", [attachment(f"kept-{sha1(content)}.txt", content)])
        except (OSError, ValueError, SystemExit, http.client.HTTPException):
            globals().pop("uid", None)
            time.sleep(0.3)
            continue
        with open(log, "a") as noted:
            print(sha1(content), file=noted)
        time.sleep(0.3)


def wait_until_it_answers():
    """While Odoo or its database starts, connections are refused and pages are errors."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if get("/web/login")[0] == 200 or time.monotonic() > end - PATIENCE / 2:
                return
        except OSError as error:
            if time.monotonic() > end:
                raise SystemExit(f"{URL} does not answer: {error}")
        time.sleep(0.1)


if VERB != "keep":
    wait_until_it_answers()
print(json.dumps({"login": login, "create": create, "read": read, "fill": fill, "many": many, "keep": keep}[VERB](*ARGUMENTS)))
