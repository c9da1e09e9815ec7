"""Finds the image of a server: local, pulled, or built from Debian packages (fixtures/images/)."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound
from docker.models.images import Image as EngineImage

from restoreproof import docker_engine
from restoreproof.errors import ImageUnavailable
from restoreproof.image_recipes import RECIPE_LABEL, Recipe, build, only_builder, recipes

__all__ = ["Image", "Recipe", "ensure", "recipes"]

_OURS = "restoreproof/"

Origin = Literal["local", "pulled", "built"]


@dataclass(frozen=True)
class Image:
    """An image that the engine has, and how it came there."""

    reference: str
    identifier: str
    origin: Origin
    repository_digest: str | None
    waited: timedelta = field(default=timedelta(), compare=False)
    """How long it took until it was there, before anything was restored into it."""


def ensure(reference: str, progress: Callable[[str], None]) -> Image:
    """The image, found or made on the engine.

    Names that begin with `restoreproof/` are ours: built from a recipe, never pulled, and built
    again when the recipe changed. Raise `ImageUnavailable` with what was tried.
    """
    client, begun = docker_engine.connect(), time.monotonic()
    try:
        there = _ensure_built if reference.startswith(_OURS) else _ensure_pulled
        found = there(client, reference, progress)
        return replace(found, waited=timedelta(seconds=time.monotonic() - begun))
    finally:
        client.close()


def _ensure_built(
    client: docker.DockerClient, reference: str, progress: Callable[[str], None]
) -> Image:
    known = {recipe.reference: recipe for recipe in recipes()}
    if reference not in known:
        raise ImageUnavailable(
            "no recipe makes this image",
            where=reference,
            mend=f"name one of {', '.join(known)}, or an image that can be pulled",
        )
    recipe = known[reference]
    found = _current(client, recipe)
    if found:
        return _image(reference, found, "local")
    with only_builder(recipe):
        # Another process may have built it while this one waited.
        found = _current(client, recipe)
        if found:
            return _image(reference, found, "local")
        replaced = _local(client, reference)
        build(client, recipe, progress)
        if replaced:
            _forget(client, replaced)
        return _image(reference, client.images.get(reference), "built")


def _ensure_pulled(
    client: docker.DockerClient, reference: str, progress: Callable[[str], None]
) -> Image:
    found = _local(client, reference)
    if found:
        return _image(reference, found, "local")
    progress(f"pulling {reference}")
    try:
        pulled: Any = client.images.pull(reference)
    except (DockerException, requests.RequestException) as error:
        reason = (error.explanation if isinstance(error, APIError) else None) or str(error)
        own = ", ".join(recipe.reference for recipe in recipes())
        raise ImageUnavailable(
            f"not on this machine, and pulling it failed: {reason}",
            where=reference,
            mend=f"check the name, or name an image that is built here: {own}",
        ) from error
    return _image(reference, pulled, "pulled")


def _local(client: docker.DockerClient, reference: str) -> EngineImage | None:
    try:
        return client.images.get(reference)
    except ImageNotFound:
        return None
    except APIError as error:
        raise ImageUnavailable(
            f"not the name of an image: {error.explanation or error}",
            where=repr(reference),
            mend="write it as name:tag",
        ) from error


def _current(client: docker.DockerClient, recipe: Recipe) -> EngineImage | None:
    found = _local(client, recipe.reference)
    return found if found and found.labels.get(RECIPE_LABEL) == recipe.digest else None


def _forget(client: docker.DockerClient, image: EngineImage) -> None:
    """Remove the image that an older recipe made, unless a container still stands on it."""
    try:
        client.images.remove(str(image.id))
    except APIError:
        return


def _image(reference: str, image: EngineImage, origin: Origin) -> Image:
    digests = image.attrs.get("RepoDigests") or [None]
    return Image(reference, str(image.id), origin, digests[0])
