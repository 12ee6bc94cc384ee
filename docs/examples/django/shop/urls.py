"""Where the pages are."""

from django.urls import path

from shop import views

urlpatterns = [path("signup/", views.signup), path("welcome/<token>/", views.welcome, name="welcome")]
