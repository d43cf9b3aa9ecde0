"""What a request to /detect says: an image and parameters, in three kinds of body or in the query."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import pydantic
from fastapi import Request
from pydantic import WithJsonSchema
from pydantic_core import from_json
from starlette.datastructures import FormData, ImmutableMultiDict, UploadFile
from starlette.exceptions import HTTPException

from hmean.postprocess.parameters import PostprocessParams, present_names
from hmean.web.image_check import FORMATS
from hmean.web.parameter_records import ClientRecord, parameter_fields
from hmean.web.refusals import RefusalError

MEDIA_TYPES = [f"image/{name.lower()}" for name in FORMATS]
# A drawn line on white, 32 x 32 pixels: the example of the OpenAPI document.
EXAMPLE_IMAGE = "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgAQAAAABbAUdZAAAAEUlEQVR42mP8z8DAwMQwaAkAswEBP25AfJYAAAAASUVORK5CYII="
MAX_FIELDS = 20  # of a form
MAX_FIELD_BYTES = 999  # of a field of a form that is not the image


def _decode_base64(value: object) -> object:
    if value is None:
        raise ValueError("is missing")
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise ValueError("is not base64") from error


ImageField = Annotated[
    bytes,
    pydantic.BeforeValidator(_decode_base64),
    WithJsonSchema({"type": "string", "format": "byte", "description": f"an image file: {', '.join(FORMATS)}"}),
]


class RequestFields(ClientRecord):
    """The fields of a request; those of the parameters are added from their declaration."""

    image: ImageField


@dataclass(frozen=True)
class DetectRequest:
    """An image file, and the post-processing parameters to use."""

    image: bytes
    params: PostprocessParams


class RequestReader:
    """Reads requests to /detect.

    Args:
        defaults: values of the parameters that a request does not give.
    """

    def __init__(self, defaults: PostprocessParams) -> None:
        self._defaults = defaults
        self._fields = pydantic.create_model(
            "DetectRequest", __base__=RequestFields, **parameter_fields(defaults, in_request=True)
        )

    async def read(self, request: Request) -> DetectRequest:
        """Read a request. An option in its body overrides the same option in its query.

        Raises:
            RefusalError: if its body is of another kind, or anything in it is wrong; it lists every fault.
        """
        body: dict[str, Any] = {"image": None}
        body |= _present_names(await _read_body(request))
        query = _present_names(_typed_values(request.query_params))
        faults = _repeated_names(request.query_params)
        if "image" in query:
            faults.append("image: belongs in the body, not in the query")
        # The query alone as well: a wrong value in it is a fault even where the body has a right one.
        _, faults_of_query = self._validate({**query, "image": b""})
        fields, faults_of_all = self._validate({**query, **body})
        for fault in [*faults_of_query, *faults_of_all]:
            if fault not in faults:
                faults.append(fault)
        if faults or fields is None:
            raise RefusalError("invalid", *faults)
        return DetectRequest(fields.image, self._params(fields))

    def _validate(self, values: Mapping[str, Any]) -> tuple[RequestFields | None, list[str]]:
        """The fields, or None; and all that is wrong with them."""
        try:
            return self._fields.model_validate(values), []
        except pydantic.ValidationError as error:
            return None, [_describe(detail) for detail in error.errors(include_url=False, include_input=False)]

    def _params(self, fields: RequestFields) -> PostprocessParams:
        given = fields.model_dump(include=fields.model_fields_set - {"image"})
        if "unclip" in given:
            # A client that sends all parameters sends also the one that its unclip mode does not read.
            return replace(self._defaults, **given)
        return self._defaults.replaced(given)

    def openapi(self) -> dict[str, Any]:
        """OpenAPI's description of what ``read`` takes."""
        schema = self._fields.model_json_schema()
        options = {name: value for name, value in schema["properties"].items() if name != "image"}
        file = {"type": "string", "format": "binary"}
        content: dict[str, Any] = {media_type: {"schema": file} for media_type in MEDIA_TYPES}
        content["multipart/form-data"] = {
            "schema": {**schema, "properties": {"image": file, **options}},
            "encoding": {"image": {"contentType": ", ".join(MEDIA_TYPES)}},
        }
        content["application/json"] = {"schema": schema, "example": {"image": EXAMPLE_IMAGE, "box_thresh": 0.5}}
        parameters = [{"name": name, "in": "query", "schema": value} for name, value in options.items()]
        return {"requestBody": {"required": True, "content": content}, "parameters": parameters}


async def _read_body(request: Request) -> dict[str, Any]:
    """The fields of a body, whichever its kind.

    Raises:
        RefusalError: if it is of another kind, or not well-formed.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    compressed = "content-encoding" in request.headers
    if media_type.startswith("image/") and not compressed:
        return {"image": await request.body()}
    if media_type == "multipart/form-data" and not compressed:
        return await _read_form(request)
    if media_type == "application/json" and not compressed:
        return _read_json(await request.body())
    raise RefusalError("kind", "send image/*, multipart/form-data or application/json, uncompressed")


async def _read_form(request: Request) -> dict[str, Any]:
    try:
        form = await request.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)
    except HTTPException as error:
        raise RefusalError("invalid", f"the form cannot be read: {error.detail}") from None
    try:
        faults = _repeated_names(form)
        if faults:
            raise RefusalError("invalid", *faults)
        return await _form_values(form)
    finally:
        await form.close()


async def _form_values(form: FormData) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in form.items():
        if isinstance(value, UploadFile):
            values[name] = await value.read()
        else:
            values[name] = _typed(value)
    return values


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        value: object = from_json(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise RefusalError("invalid", "the body is not a JSON object")
    return value


def _typed_values(given: ImmutableMultiDict[str, str]) -> dict[str, Any]:
    return {name: _typed(value) for name, value in given.items()}


def _typed(text: str) -> object:
    """The value of a query's or form's text: what it means as JSON, or else the text."""
    try:
        value: object = from_json(text)
    except ValueError:
        return text
    return value


def _present_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the parameters' present names.

    Raises:
        RefusalError: if a parameter is given by its old and by its present name.
    """
    try:
        renamed: dict[str, Any] = present_names(values)
    except ValueError as error:
        raise RefusalError("invalid", str(error)) from None
    return renamed


def _repeated_names(given: ImmutableMultiDict[str, Any]) -> list[str]:
    faults: list[str] = []
    for name in given:
        count = len(given.getlist(name))
        if count > 1:
            faults.append(f"{name}: is given {count} times")
    return faults


def _describe(detail: Any) -> str:
    name = detail["loc"][0]
    if detail["type"] == "extra_forbidden":
        return f"{name}: there is no such option"
    return f"{name}: {detail['msg'].removeprefix('Value error, ')}"
