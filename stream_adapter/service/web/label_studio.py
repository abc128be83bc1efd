"""A machine learning backend of Label Studio, and its webhook: pre-annotations out, label events in.

Tasks name their image event by `ce_source` and `ce_id` in their data; docs/label-studio.md says how they come there.
"""

import base64
import binascii
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from stream_adapter.errors import EventError
from stream_adapter.events.headers import parse_time
from stream_adapter.events.label import LabelEvent
from stream_adapter.events.reference import Reference
from stream_adapter.page.http import guarded, read_json
from stream_adapter.service.web.answering import Asked
from stream_adapter.service.web.predict import PredictApi
from stream_adapter.transport.base import OutRecord

log = structlog.get_logger(__name__)

SENDER = "stream_adapter/label-studio"
_BODY_BYTES = 64 * 2**20
_REMEMBERED = 100_000
_TAG = re.compile(r"<(Choices|Image)\b([^>]*)>")
_ATTRIBUTE = re.compile(r"""(\w+)\s*=\s*["']([^"']*)["']""")


class LabelStudio:
    """The handlers.

    Args:
        api: answers, and who may ask.
        write: puts label events where workers read them; waits until they are durable.
    """

    def __init__(self, api: PredictApi, write: Callable[[Sequence[OutRecord]], None]) -> None:
        self._api = api
        self._write = write
        # Label Studio names a deleted annotation by its number alone.
        self._labelled: OrderedDict[int, tuple[str, str]] = OrderedDict()

    def routes(self) -> list[BaseRoute]:
        """Below `/label-studio`, which is what Label Studio is told as the backend's address."""
        access = self._api.access
        return [
            Route("/label-studio/health", guarded(access, self.health)),
            Route("/label-studio/setup", guarded(access, self.setup), methods=["POST"]),
            Route("/label-studio/predict", guarded(access, self.predict), methods=["POST"]),
            Route("/label-studio/webhook", guarded(access, self.webhook), methods=["POST"]),
        ]

    async def health(self, request: Request) -> Response:
        """That somebody is here."""
        return JSONResponse({"status": "UP", "model_class": "stream_adapter"})

    async def setup(self, request: Request) -> Response:
        """A project names this backend; its configuration comes again with every question."""
        return JSONResponse({"model_version": self._api.version})

    async def predict(self, request: Request) -> Response:
        """A pre-annotation for each task: the most probable class, and its probability as the score."""
        given = await _json(request)
        choices, image = _tags(str(given.get("label_config") or ""))
        tasks = given.get("tasks")
        if not isinstance(tasks, list):
            raise HTTPException(400, "`tasks` must be a list")
        results: list[dict[str, Any]] = []
        most = self._api.max_batch
        for at in range(0, len(tasks), most):
            portion = tasks[at : at + most]
            asked = {place: one for place, task in enumerate(portion) if (one := _picture(task, image)) is not None}
            answers = dict(zip(asked, await self._api.answers(list(asked.values())), strict=True)) if asked else {}
            results += [self._result(answers.get(place), choices, image) for place in range(len(portion))]
        return JSONResponse({"results": results})

    async def webhook(self, request: Request) -> Response:
        """An annotation was created, changed or deleted: a label, a correction or a withdrawal."""
        given = await _json(request)
        action = str(given.get("action", ""))
        labels: list[LabelEvent] = []
        passed = 0
        if action in ("ANNOTATION_CREATED", "ANNOTATION_UPDATED"):
            label = self._label(given.get("task"), given.get("annotation"))
            labels, passed = ([label], 0) if label is not None else ([], 1)
        elif action == "ANNOTATIONS_DELETED":
            for annotation in _list(given.get("annotations")):
                number = annotation.get("id") if isinstance(annotation, dict) else None
                known = self._labelled.pop(number, None) if isinstance(number, int) else None
                if known is None:
                    passed += 1
                else:
                    labels.append(LabelEvent.new(*known, None, sender=SENDER))
        if labels:
            await run_in_threadpool(self._write, [label.to_output() for label in labels])
        if passed:
            log.warning("Label Studio told of annotations that belong to no event known here", number=passed)
        return JSONResponse({"labels": len(labels), "passed_over": passed})

    def _result(self, answer: Any, choices: str, image: str) -> dict[str, Any]:
        if answer is None or isinstance(answer, EventError):
            return {"result": [], "score": 0.0, "model_version": self._api.version}
        top = answer["top"][0]
        said = {"from_name": choices, "to_name": image, "type": "choices", "value": {"choices": [top["label"]]}}
        score = {"score": top["adapted"]}
        return {"result": [said | score], **score, "model_version": answer["versions"]["adapter"]}

    def _label(self, task: Any, annotation: Any) -> LabelEvent | None:
        """What an annotation says about the event of its task; without a choice it says nothing any more."""
        data = task.get("data") if isinstance(task, dict) else None
        result = (annotation.get("result") or []) if isinstance(annotation, dict) else None
        if not isinstance(data, dict) or not isinstance(result, list):
            return None
        source, id = data.get("ce_source"), data.get("ce_id")
        if not (isinstance(source, str) and isinstance(id, str) and source and id):
            return None
        picked = [
            choice
            for one in result
            if isinstance(one, dict) and isinstance(one.get("value"), dict)
            for choice in _list(one["value"].get("choices"))
        ]
        label = str(picked[0]) if picked and not annotation.get("was_cancelled") else None
        by = annotation.get("completed_by")
        annotator = (by.get("email") or by.get("id")) if isinstance(by, dict) else by
        try:
            time_ms = parse_time(str(annotation["updated_at"]))
        except (KeyError, ValueError, EventError):
            time_ms = None
        if isinstance(annotation.get("id"), int):
            self._labelled[annotation["id"]] = source, id
            if len(self._labelled) > _REMEMBERED:
                self._labelled.popitem(last=False)
        who = None if annotator is None else str(annotator)
        try:
            return LabelEvent.new(source, id, label, time_ms=time_ms, annotator=who, sender=SENDER)
        except EventError:
            return None


async def _json(request: Request) -> dict[str, Any]:
    given = await read_json(request, _BODY_BYTES)
    if not isinstance(given, dict):
        raise HTTPException(400, "the body is no JSON object")
    return given


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def _tags(config: str) -> tuple[str, str]:
    """Names of the first `Choices` and the first `Image` of a labelling configuration."""
    names = {"Choices": "choice", "Image": "image"}
    for tag, attributes in reversed(_TAG.findall(config)):
        names[tag] = dict(_ATTRIBUTE.findall(attributes)).get("name", names[tag])
    return names["Choices"], names["Image"]


def _picture(task: Any, image: str) -> Asked | None:
    """A task's picture: a `data:` address, or one that `references.allow` lets through."""
    data = task.get("data") if isinstance(task, dict) else None
    address = (data.get("image") or data.get(image)) if isinstance(data, dict) else None
    if not isinstance(address, str):
        return None
    try:
        if address.startswith("data:"):
            return Asked(base64.b64decode(address.partition(",")[2], validate=True))
        return Asked(b"", reference=Reference.parse(address))
    except (binascii.Error, EventError, ValueError):
        return None
