"""As little as Django needs."""

SECRET_KEY = "an example, and no secret"
ROOT_URLCONF = "shop.urls"
ALLOWED_HOSTS = ["*"]
DEFAULT_FROM_EMAIL = "Shop <shop@example.com>"
USE_TZ = True
