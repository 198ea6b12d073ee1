"""A browser: logs in to Odoo and keeps its cookies. Prints one JSON value.

  web.py URL DATABASE login JAR    {uid, session_id} after the login form, cookies in JAR
  web.py URL DATABASE logout JAR   the same after logging out; JAR stays as it was
  web.py URL DATABASE who JAR      {uid} that Odoo knows the cookies of JAR by; null for nobody
"""
import http.cookiejar, json, re, sys, time, urllib.error, urllib.parse, urllib.request

URL, DATABASE, VERB, JAR = sys.argv[1:]
PATIENCE = 40  # seconds

jar = http.cookiejar.MozillaCookieJar(JAR)
if VERB in ("who", "logout"):
    jar.load(ignore_discard=True, ignore_expires=True)
    # The name of the site stays when the server behind it changes; here both have only addresses.
    for cookie in list(jar):
        cookie.domain = urllib.parse.urlparse(URL).hostname
    cookies = list(jar)
    jar.clear()
    for cookie in cookies:
        jar.set_cookie(cookie)
browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))


def ask(path, data=None, headers={}):
    return browser.open(urllib.request.Request(URL + path, data, headers), timeout=20).read().decode()


def who():
    body = json.dumps({"jsonrpc": "2.0", "method": "call", "id": 1, "params": {}}).encode()
    answer = json.loads(ask("/web/session/get_session_info", body, {"Content-Type": "application/json"}))
    return answer.get("result", {}).get("uid")


def login():
    page = ask("/web/login?db=" + DATABASE)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page).group(1)
    form = urllib.parse.urlencode({"csrf_token": token, "login": "admin", "password": "admin", "redirect": ""})
    ask("/web/login", form.encode())


end = time.monotonic() + PATIENCE
while True:
    try:
        if VERB == "login":
            login()
        if VERB == "logout":
            ask("/web/session/logout")
        print(json.dumps({"uid": who(), "session_id": next((c.value for c in jar if c.name == "session_id"), None)}))
        break
    except (OSError, AttributeError) as error:  # not up yet, or an error page
        if time.monotonic() > end:
            raise SystemExit(f"{URL}: {error}")
        time.sleep(0.2)
if VERB == "login":
    jar.save(ignore_discard=True, ignore_expires=True)
