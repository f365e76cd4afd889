# Starts Django OAuth Toolkit on a free loopback port and prints its issuer on one line when it is ready. Its access
# tokens are opaque, its refresh tokens rotate, and the reuse of one revokes all tokens of the sign-in. A visitor who
# comes to sign in is user-1, without a page. Arguments are a JSON object: `lifetime` of access tokens in seconds,
# `origin` of the site whose client signs in.
#
# Beside the provider's own: GET /test/counts.
import json
import socketserver
import sys
import tempfile
from wsgiref import simple_server

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

options = {"lifetime": 300, "origin": "http://127.0.0.1"} | json.loads((sys.argv[1:] or ["{}"])[0])
counts = {"refreshes": 0, "refused": 0}


class Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True


class Silent(simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


server = simple_server.make_server("127.0.0.1", 0, lambda *_: [], Server, Silent)
address = f"http://127.0.0.1:{server.server_port}"
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
folder = tempfile.TemporaryDirectory()
sys.modules["project"] = sys.modules["__main__"]

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.ModelBackend"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{folder.name}/db.sqlite3",
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "project.sign_in",
        "project.count",
    ],
    OAUTH2_PROVIDER={
        "ACCESS_TOKEN_EXPIRE_SECONDS": options["lifetime"],
        "OAUTH2_VALIDATOR_CLASS": "project.Validator",
        "OIDC_ENABLED": True,
        "OIDC_ISS_ENDPOINT": f"{address}/o",
        "OIDC_RP_INITIATED_LOGOUT_ALWAYS_PROMPT": False,
        "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        "PKCE_REQUIRED": True,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "ROTATE_REFRESH_TOKEN": True,
        "SCOPES": {"openid": "who", "profile": "name", "email": "address", "read:messages": "read"},
    },
    ROOT_URLCONF="project",
    SECRET_KEY="for tests on this machine alone",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth import get_user_model, login  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import get_application_model  # noqa: E402
from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: E402


class Validator(OAuth2Validator):
    oidc_claim_scope = None

    def get_additional_claims(self, request):
        name = request.user.username
        return {
            "sub": name,
            "name": f"The Django {name}",
            "email": f"{name}@example.com",
            "email_verified": True,
        }


def sign_in(respond):
    def handle(request):
        if request.path == "/o/authorize/" and not request.user.is_authenticated:
            login(request, get_user_model().objects.get(username="user-1"))
        return respond(request)

    return handle


def count(respond):
    def handle(request):
        is_refresh = (
            request.path == "/o/token/" and request.POST.get("grant_type") == "refresh_token"
        )
        answer = respond(request)
        if is_refresh:
            counts["refreshes" if answer.status_code == 200 else "refused"] += 1
        return answer

    return handle


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("test/counts", lambda _: JsonResponse(counts)),
]

call_command("migrate", verbosity=0)
get_user_model().objects.create_user("user-1")
get_application_model().objects.create(
    algorithm="RS256",
    authorization_grant_type="authorization-code",
    client_id="web",
    client_secret="web-secret",
    client_type="confidential",
    name="web",
    post_logout_redirect_uris=f"{options['origin']}/",
    redirect_uris=f"{options['origin']}/oauth/openid/callback",
    skip_authorization=True,
)
# One that calls an API, and the API, which introspects tokens.
for client_id in ["service", "api"]:
    get_application_model().objects.create(
        authorization_grant_type="client-credentials",
        client_id=client_id,
        client_secret=f"{client_id}-secret",
        client_type="confidential",
        name=client_id,
    )
server.set_app(get_wsgi_application())
print(f"ready {address}/o", flush=True)
server.serve_forever()
