# Starts Glewlwyd on a free loopback port, with its database and configuration in a folder, and prints its issuer on one
# line when it is ready. Its access tokens are JWTs, its refresh tokens rotate, and the reuse of one disables all of the
# sign-in. Arguments are a JSON object: the `folder`, `lifetime` of access tokens in seconds, `origin` of the site whose
# client signs in, `plugin` with further parameters of its OpenID Connect plugin.
#
# The process becomes Glewlwyd. A second one sets it up by its REST API, as its administration pages do, and ends.
import http.cookiejar
import json
import os
import pathlib
import signal
import socket
import sqlite3
import sys
import time
import urllib.error
import urllib.request

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

SCHEMA = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3"
RESOURCES = ["https://api.example.com", "https://other.example.com"]
SCOPES = {
    "openid": "who",
    "profile": "name",
    "email": "address",
    "offline_access": "stay",
    "read:messages": "read",
}

options = {"lifetime": 300, "origin": "http://127.0.0.1", "plugin": {}}
options |= json.loads((sys.argv[1:] or ["{}"])[0])
folder = pathlib.Path(options["folder"])
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
address = f"http://127.0.0.1:{port}"


def request(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    call = urllib.request.Request(f"{address}/api{path}", data, method=method)
    call.add_header("content-type", "application/json")
    answer = administrator.open(call, timeout=10).read()
    return json.loads(answer) if answer else None


def sign_in():
    request("POST", "/auth/", {"username": "admin", "password": "password"})


def wait_until_it_listens():
    for _ in range(300):
        try:
            return sign_in()
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("Glewlwyd does not listen")


def client(name, **more):
    secret = {"confidential": True, "client_secret": f"{name}-secret"}
    secret["token_endpoint_auth_method"] = ["client_secret_basic", "client_secret_post"]
    request("POST", "/client/", {"client_id": name, "name": name, "enabled": True} | secret | more)


def set_up():
    wait_until_it_listens()
    for name, text in SCOPES.items():
        scope = {"name": name, "display_name": text, "description": text}
        method, path = ("PUT", f"/scope/{name}") if name == "openid" else ("POST", "/scope/")
        request(method, path, scope | {"password_required": False, "scheme": {}})
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    parameters = {
        "iss": f"{address}/api/oidc",
        "jwt-type": "rsa",
        "jwt-key-size": "256",
        "key": private.decode(),
        "cert": public.decode(),
        "access-token-duration": options["lifetime"],
        "refresh-token-duration": 1209600,
        "code-duration": 600,
        "allow-non-oidc": True,
        "auth-type-code-enabled": True,
        "auth-type-client-enabled": True,
        "auth-type-device-enabled": True,
        "auth-type-refresh-enabled": True,
        "device-authorization-expiration": 600,
        "device-authorization-interval": 1,
        "allowed-scope": list(SCOPES),
        "pkce-allowed": True,
        "refresh-token-one-use": "always",
        "name-claim": "mandatory",
        "email-claim": "mandatory",
        "resource-allowed": True,
        "resource-scope": {scope: RESOURCES for scope in ["openid", "read:messages"]},
        "introspection-revocation-allowed": True,
        "introspection-revocation-allow-target-client": True,
        # With such a scope, which no client has here, a client may ask about the tokens of others too.
        "introspection-revocation-auth-scope": ["introspect"],
        "session-management-allowed": True,
        "session-cookie-name": "GLEWLWYD2_OIDC_SID",
        "session-cookie-expiration": 2419200,
        # Without it the page on which users sign out has an error.
        "front-channel-logout-allowed": True,
        "back-channel-logout-allowed": True,
    }
    plugin = {"module": "oidc", "name": "oidc", "display_name": "oidc"}
    request("POST", "/mod/plugin/", plugin | {"parameters": parameters | options["plugin"]})
    user = {"username": "user-1", "password": "password", "name": "The Glewlwyd user-1"}
    request("POST", "/user/", user | {"email": "user-1@example.com", "scope": list(SCOPES), "enabled": True})
    # A list that the packaged database does not know: without it no sign-out returns to the site.
    module = request("GET", "/mod/client/database")
    formats = module["parameters"]["data-format"]
    formats["post_logout_redirect_uris"] = {"multiple": True, "read": True, "write": True}
    request("PUT", "/mod/client/database", module)
    request("PUT", "/mod/client/database/reset")
    origin = options["origin"]
    client(
        "web",
        authorization_type=["code", "refresh_token", "device_authorization"],
        redirect_uri=[f"{origin}/oauth/openid/callback"],
        post_logout_redirect_uris=[f"{origin}/"],
        backchannel_logout_uri=f"{origin}/oauth/openid/backchannel-logout",
        backchannel_logout_session_required="1",
    )
    for name in ["service", "api"]:
        client(name, authorization_type=["client_credentials"], scope=["read:messages"])
    print(f"ready {address}/api/oidc", flush=True)


with sqlite3.connect(folder / "glewlwyd.db") as database:
    # In one piece, because each statement by itself would wait for the disk.
    database.executescript(f"BEGIN; {pathlib.Path(SCHEMA).read_text()}; COMMIT;")
configuration = folder / "glewlwyd.conf"
configuration.write_text(f"""
port = {port}
bind_address = "127.0.0.1"
external_url = "{address}"
login_url = "login.html"
api_prefix = "api"
log_mode = "file"
log_level = "INFO"
log_file = "{folder / 'glewlwyd.log'}"
cookie_secure = 0
session_expiration = 2419200
session_key = "GLEWLWYD2_SESSION_ID"
admin_scope = "g_admin"
profile_scope = "g_profile"
user_module_path = "/usr/lib/glewlwyd/user"
client_module_path = "/usr/lib/glewlwyd/client"
user_auth_scheme_module_path = "/usr/lib/glewlwyd/scheme"
plugin_module_path = "/usr/lib/glewlwyd/plugin"
hash_algorithm = "SHA512"
database = {{ type = "sqlite3"; path = "{folder / 'glewlwyd.db'}"; }};
""")
server = os.getpid()
if os.fork() == 0:
    administrator = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
    )
    try:
        set_up()
    except BaseException as error:
        detail = error.read().decode() if isinstance(error, urllib.error.HTTPError) else ""
        print(f"it was not set up: {error!r} {detail}", file=sys.stderr, flush=True)
        os.kill(server, signal.SIGKILL)
        raise
    os._exit(0)
os.execvp("glewlwyd", ["glewlwyd", f"--config-file={configuration}"])
