"""Settings. Values that differ between machines are environment variables, or in a `.env` file
beside manage.py.

Each variable is documented once, where it is read. With EBALANCE_ENV=prod or stage secrets have no
default: the process stops with the name of the missing variable.
"""

import os
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy
from django.utils.csp import CSP
from django.utils.translation import gettext_lazy as _

from ebalance.db.database_url import is_local, parse_database_url
from ebalance.db.encryption import keys

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
env.smart_cast = False
if (BASE_DIR / ".env").is_file():
    try:
        with (BASE_DIR / ".env").open(encoding="utf-8") as _file:
            env.read_env(_file)
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"The file .env cannot be read: {error}.") from None

# EBALANCE_ENV: dev (default), stage or prod.
ENVIRONMENT = env.str("EBALANCE_ENV", default="dev")
if ENVIRONMENT not in {"dev", "stage", "prod"}:
    raise ImproperlyConfigured(f"EBALANCE_ENV is {ENVIRONMENT!r}; it can be dev, stage or prod.")
DEPLOYED = ENVIRONMENT != "dev"


def required(name: str, development: str) -> str:
    """The variable's value; in development it defaults to `development`."""
    value = env.str(name, default="" if DEPLOYED else development)
    if not value:
        raise ImproperlyConfigured(f"{name} must be set when EBALANCE_ENV is {ENVIRONMENT}.")
    return value


DEVELOPMENT_SECRET_KEY = "insecure-development-key-never-used-when-deployed"
# SECRET_KEY: signs sessions and password links; 50 random characters or more.
SECRET_KEY = required("SECRET_KEY", DEVELOPMENT_SECRET_KEY)
if DEPLOYED and (
    len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 10 or DEVELOPMENT_SECRET_KEY in SECRET_KEY
):
    raise ImproperlyConfigured(
        "SECRET_KEY must have 50 random characters or more, 10 of them different, and not be the "
        f"development key when EBALANCE_ENV is {ENVIRONMENT}."
    )
# ALLOWED_HOSTS: host names that are served, separated by commas.
ALLOWED_HOSTS = [
    host.strip() for host in required("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
]
if DEPLOYED and any("*" in host or not host.strip(".") for host in ALLOWED_HOSTS):
    raise ImproperlyConfigured(
        f"ALLOWED_HOSTS must name each host when EBALANCE_ENV is {ENVIRONMENT}; * allows every one."
    )
# DEBUG: pages with tracebacks; on in development, refused elsewhere.
DEBUG = env.bool("DEBUG", default=not DEPLOYED)
if DEBUG and DEPLOYED:
    raise ImproperlyConfigured(f"DEBUG cannot be on when EBALANCE_ENV is {ENVIRONMENT}.")
# EBALANCE_DATA_DIR: folder of the bundled database.
EBALANCE_DATA_DIR = Path(env.str("EBALANCE_DATA_DIR", default="") or BASE_DIR / ".data").absolute()

# EBALANCE_ENCRYPTION_KEYS, EBALANCE_BLIND_INDEX_KEYS: the keys of sealed columns and of blind
# indexes, k2:<base64>,k1:<base64>; the first key seals (`manage.py keys generate`). With the suffix
# _FILE, the variable names a mounted file instead. In development a key is generated.
ENCRYPTION_KEYS, BLIND_INDEX_KEYS = (
    keys.from_environment(
        f"EBALANCE_{purpose}_KEYS",
        deployed=DEPLOYED,
        development_file=EBALANCE_DATA_DIR / f"development-{purpose.lower().replace('_', '-')}-key",
    )
    for purpose in ("ENCRYPTION", "BLIND_INDEX")
)
keys.no_key_in_common(ENCRYPTION_KEYS, BLIND_INDEX_KEYS)


def database() -> dict[str, Any]:
    """The default database. Raises ImproperlyConfigured.

    Errors do not quote DATABASE_URL, which holds a password.
    """
    # DATABASE_URL: postgresql://user:password@host:port/name. Without it: the bundled server, in
    # development only.
    url = os.environ.get("DATABASE_URL")  # env.str would treat an empty value as missing
    if url is None:
        if DEPLOYED:
            raise ImproperlyConfigured(
                f"DATABASE_URL must be set when EBALANCE_ENV is {ENVIRONMENT}."
            )
        return {
            "ENGINE": "ebalance.db.backend",
            "NAME": "ebalance",
            "USER": "postgres",
            "HOST": "",
            "PORT": "5432",
            "BUNDLED": "ebalance.dev.bundled.ensure_running",
            "OPTIONS": {"server_side_binding": True},  # see below
            "DISABLE_SERVER_SIDE_CURSORS": True,
        }
    url = url.strip()
    if not url:
        raise ImproperlyConfigured("DATABASE_URL is empty; unset it to use the bundled server.")
    config = parse_database_url("DATABASE_URL", url)
    if not is_local(config) and "EBALANCE_ENV" not in os.environ:
        # A server somewhere else may be the practice's own: development must be meant.
        raise ImproperlyConfigured(
            "EBALANCE_ENV must be set (dev, stage or prod), because DATABASE_URL names a server on "
            "another machine."
        )
    return config


DATABASES = {"default": database()}
# DATABASE_DIRECT_URL: the same database without its transaction pooler, for commands that need a
# session of their own. Unset where DATABASE_URL names the server itself.
DATABASE_DIRECT = (
    parse_database_url("DATABASE_DIRECT_URL", _direct)
    if (_direct := os.environ.get("DATABASE_DIRECT_URL", "").strip())
    else None
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "ebalance.admin.apps.SiteConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "pgtrigger",
    "ebalance.db",
    "ebalance.privacy",
    "ebalance.reports",
    *([] if DEPLOYED else ["ebalance.dev"]),
    "identity",
    "content",
    "interactive",
    "booking",
    "ugc",
    "crm",
    "audit",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "ebalance.admin.requests.PermissionsPolicyMiddleware",
    "ebalance.admin.requests.BadInputMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "identity.sessions.SessionAgeMiddleware",
    "ebalance.actor.ActorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "ebalance.urls"
WSGI_APPLICATION = "ebalance.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "ebalance" / "admin" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

AUTH_USER_MODEL = "identity.User"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
AUTHENTICATION_BACKENDS = ["identity.auth.RolesBackend"]
# The first one hashes; a password with an older hash is hashed again at login.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",  # Argon2id
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("email", "phone", "telegram_username", "display_name")},
    },
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# Outside development, a login to admin needs a second factor.
SECOND_FACTOR_REQUIRED = DEPLOYED
# SESSION_HOURS: a login to admin lasts so long. SESSION_IDLE_HOURS: it ends earlier after so long
# without a request.
SESSION_HOURS = env.int("SESSION_HOURS", default=12)
SESSION_IDLE_HOURS = env.int("SESSION_IDLE_HOURS", default=3)
if not 1 <= SESSION_IDLE_HOURS <= SESSION_HOURS <= 24:
    raise ImproperlyConfigured(
        "SESSION_IDLE_HOURS is 1 or more, and at most SESSION_HOURS, which is 24 or less."
    )
SESSION_COOKIE_AGE = SESSION_HOURS * 3600

LANGUAGE_CODE = "ru"
USE_I18N = True
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_TZ = True
TIME_ZONE = "UTC"
FIXTURE_DIRS = [BASE_DIR / "fixtures"]

STATIC_URL = "static/"
# STATIC_ROOT: where collectstatic puts files for the web server.
STATIC_ROOT = Path(env.str("STATIC_ROOT", default="") or BASE_DIR / "static").absolute()

# HOLD_MINUTES: how long a booked time is reserved for its payment (states.md: 15 minutes).
HOLD_MINUTES = env.int("HOLD_MINUTES", default=15)
if not 1 <= HOLD_MINUTES <= 24 * 60:
    raise ImproperlyConfigured(f"HOLD_MINUTES is {HOLD_MINUTES}; it can be 1 to 1440.")

# MAX_UNPAID_HOLDS: how many unpaid holds a client has at once (states.md: 3).
MAX_UNPAID_HOLDS = env.int("MAX_UNPAID_HOLDS", default=3)
if not 1 <= MAX_UNPAID_HOLDS <= 1000:
    raise ImproperlyConfigured(f"MAX_UNPAID_HOLDS is {MAX_UNPAID_HOLDS}; it can be 1 to 1000.")

# EXPORTS_DIR: folder of the files that process_exports makes, each with all data of a person. One
# folder per database; a web server must not list it.
EXPORTS_DIR = Path(env.str("EXPORTS_DIR", default="") or EBALANCE_DATA_DIR / "exports").absolute()

# ERASURE_LEDGER_FILE: the erasures, one line of JSON each, without personal data. A database
# restored from an older copy does not know the last erasures; replay_erasures repeats them from
# this file. One file per database, backed up separately.
ERASURE_LEDGER_FILE = Path(
    env.str("ERASURE_LEDGER_FILE", default="") or EBALANCE_DATA_DIR / "erasures.jsonl"
).absolute()

# OUTBOX_SENDER: the class that delivers the events of relay_outbox,
# audit.services.senders.LogSender or audit.services.senders.WebhookSender. OUTBOX_MAX_ATTEMPTS:
# deliveries until an event is a dead letter. OUTBOX_SEND_TIMEOUT_SECONDS: limit of one delivery.
# OUTBOX_LEASE_SECONDS: how long a relay keeps the events that it claimed; longer than a delivery
# takes.
OUTBOX_SENDER = env.str("OUTBOX_SENDER", default="audit.services.senders.LogSender")
OUTBOX_MAX_ATTEMPTS = env.int("OUTBOX_MAX_ATTEMPTS", default=20)
OUTBOX_SEND_TIMEOUT_SECONDS = env.int("OUTBOX_SEND_TIMEOUT_SECONDS", default=10)
OUTBOX_LEASE_SECONDS = env.int("OUTBOX_LEASE_SECONDS", default=60)
if OUTBOX_MAX_ATTEMPTS < 1 or not 1 <= OUTBOX_SEND_TIMEOUT_SECONDS < OUTBOX_LEASE_SECONDS <= 3600:
    raise ImproperlyConfigured(
        "OUTBOX_MAX_ATTEMPTS is 1 or more, OUTBOX_SEND_TIMEOUT_SECONDS 1 or more and less than "
        "OUTBOX_LEASE_SECONDS, which is 3600 or less."
    )
# OUTBOX_WEBHOOK_URL: the address to which WebhookSender posts, https only. OUTBOX_WEBHOOK_SECRET:
# the key of its signatures, 32 random characters or more, shared with the receiver. WebhookSender
# needs both.
OUTBOX_WEBHOOK_URL = env.str("OUTBOX_WEBHOOK_URL", default="")
OUTBOX_WEBHOOK_SECRET = env.str("OUTBOX_WEBHOOK_SECRET", default="")

UNFOLD = {
    "SITE_TITLE": _("Emotional balance"),
    "SITE_HEADER": _("Emotional balance"),
    "SITE_SYMBOL": "spa",
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "ACCOUNT": {
        "navigation": [{"title": _("Second factor"), "link": reverse_lazy("admin:second_factor")}]
    },
    "SIDEBAR": {
        "show_search": True,
        "navigation": "ebalance.admin.navigation.sidebar",
    },
}

# Nothing about a person is logged or reported: docs/adr/0010-redaction.md.
DEFAULT_EXCEPTION_REPORTER = "ebalance.redaction.reports.ExceptionReporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "ebalance.redaction.reports.ExceptionReporterFilter"
LOGGING_CONFIG = "ebalance.redaction.records.configure"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redaction": {"()": "ebalance.redaction.records.Redaction"}},
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
        "access": {
            "()": "ebalance.redaction.records.AccessFormatter",
            "format": "[{server_time}] {message}",
            "style": "{",
        },
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["redaction"],
        },
        "access": {
            "class": "logging.StreamHandler",
            "formatter": "access",
            "filters": ["redaction"],
        },
        "mail_admins": {
            "class": "ebalance.redaction.records.AdminMail",
            "level": "ERROR",
            "filters": ["redaction"],
        },
    },
    "root": {"level": "INFO", "handlers": ["console", *(["mail_admins"] if DEPLOYED else [])]},
    "loggers": {
        "django": {"level": "INFO", "handlers": []},  # to the root's
        "django.server": {"level": "INFO", "handlers": ["access"], "propagate": False},
    },
}
# ADMINS: e-mail addresses that get error reports, separated by commas.
ADMINS = env.list("ADMINS", default=[])
# EMAIL_URL: the mail server, smtp+tls://user:password@host:587. Default: that of the machine; in
# development no mail is sent.
_mail = env.email_url_config(
    env.str("EMAIL_URL", default="") or ("smtp://localhost:25" if DEPLOYED else "dummymail://")
)
_mail_options = {
    "host": _mail["EMAIL_HOST"],
    "port": _mail["EMAIL_PORT"],
    "username": _mail["EMAIL_HOST_USER"],
    "password": _mail["EMAIL_HOST_PASSWORD"],
    "use_tls": _mail.get("EMAIL_USE_TLS"),
    "use_ssl": _mail.get("EMAIL_USE_SSL"),
}
MAILERS = {
    "default": {
        "BACKEND": _mail["EMAIL_BACKEND"],
        "OPTIONS": {name: value for name, value in _mail_options.items() if value},
    }
}

# CSRF_TRUSTED_ORIGINS: https://host of each site that posts forms here, separated by commas.
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# BEHIND_PROXY: on behind a proxy that always sets X-Forwarded-Proto and appends the client's
# address to X-Forwarded-For.
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)
X_FRAME_OPTIONS = "DENY"
# The scripts of the admin theme are files that evaluate expressions of the page.
SECURE_CSP = {
    "default-src": [CSP.SELF],
    "script-src": [CSP.SELF, CSP.UNSAFE_EVAL],
    "style-src": [CSP.SELF, CSP.UNSAFE_INLINE],
    "img-src": [CSP.SELF, "data:"],
    "object-src": [CSP.NONE],
    "base-uri": [CSP.SELF],
    "form-action": [CSP.SELF],
    "frame-ancestors": [CSP.NONE],
}
SECURE_REFERRER_POLICY = "same-origin"
if DEPLOYED:
    SECURE_SSL_REDIRECT = True
    if BEHIND_PROXY:
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    # A browser takes these from this host alone, over HTTPS, and not from a subdomain.
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
