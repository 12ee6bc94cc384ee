"""Signing up: whoever follows the link in the mail has shown that the address is theirs."""

from django.core import signing
from django.core.mail import EmailMultiAlternatives
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.urls import reverse


def signup(request: HttpRequest) -> HttpResponse:
    address = request.POST.get("email", "")
    if "@" not in address:
        return HttpResponseBadRequest("That is no address.")
    link = request.build_absolute_uri(reverse("welcome", args=[signing.dumps(address)]))
    message = EmailMultiAlternatives("Welcome to the shop", f"Follow this link:\n{link}\n", to=[address])
    message.attach_alternative(f'<p>Hello! <a href="{link}">Confirm your address</a>.</p>', "text/html")
    message.send()
    return HttpResponse("Look into your mail.")


def welcome(request: HttpRequest, token: str) -> HttpResponse:
    try:
        return HttpResponse(f"Welcome, {signing.loads(token, max_age=3600)}!")
    except signing.BadSignature:
        return HttpResponseBadRequest("That link is too old.")
