"""A machine learning backend of Label Studio, and its webhook: pre-annotations out, label events in.

Tasks name their image event by `ce_source` and `ce_id` in their data; docs/label-studio.md says how they come there.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from xml.parsers import expat

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from stream_adapter.errors import EventError, TransportError
from stream_adapter.events.headers import parse_time
from stream_adapter.events.label import LabelEvent
from stream_adapter.events.names import canonical_name
from stream_adapter.events.payloads import from_picture
from stream_adapter.events.reference import Reference
from stream_adapter.page.http import guarded, read_json
from stream_adapter.service.web.answering import Asked
from stream_adapter.service.web.predict import PredictApi
from stream_adapter.transport.base import OutRecord

log = structlog.get_logger(__name__)

SENDER = "stream_adapter/label-studio"
_BODY_BYTES = 64 * 2**20
_REMEMBERED = 100_000
_CREATED = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED")
_CONFIG_CHARACTERS = 1_000_000  # tens of thousands of choices; it is read in the thread that answers `/healthz`


class LabelStudio:
    """The handlers.

    Args:
        api: answers, and who may ask.
        write: puts label events where workers read them; waits until they are durable.
    """

    def __init__(self, api: PredictApi, write: Callable[[Sequence[OutRecord]], None]) -> None:
        self._api = api
        self._write = write
        # Label Studio names a deleted annotation by its number alone: source and id of its event, and when its label
        # was said. None once it is deleted, because what was said of it before may come after that.
        self._labelled: OrderedDict[int, tuple[str, str, int] | None] = OrderedDict()

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
        """A pre-annotation for each task: the most probable of its choices, and its probability as the score."""
        given = await _json(request)
        tags = _tags(str(given.get("label_config") or ""))
        tasks = given.get("tasks")
        if not isinstance(tasks, list):
            raise HTTPException(400, "`tasks` must be a list")
        results: list[dict[str, Any]] = []
        most = self._api.max_batch
        for at in range(0, len(tasks), most):
            portion = tasks[at : at + most]
            asked = {place: one for place, task in enumerate(portion) if (one := _picture(task, tags.key)) is not None}
            answers = dict(zip(asked, await self._api.answers(list(asked.values())), strict=True)) if asked else {}
            results += [self._result(answers.get(place), tags) for place in range(len(portion))]
        return JSONResponse({"results": results})

    async def webhook(self, request: Request) -> Response:
        """An annotation was created, changed or deleted: a label, a correction or a withdrawal."""
        given = await _json(request)
        action = str(given.get("action", ""))
        if action in _CREATED or action == "ANNOTATION_UPDATED":
            said = [self._label(task, annotation) for task, annotation in _annotations(given)]
            # Who skips a task has said nothing before that could be taken back.
            labels = [one for one in said if one is not None and not (one.label is None and action in _CREATED)]
            passed, deleted = said.count(None), list[int]()
        else:
            gone = _list(given.get("annotations")) if action == "ANNOTATIONS_DELETED" else []
            numbers = [one.get("id") if isinstance(one, dict) else None for one in gone]
            deleted = [number for number in numbers if isinstance(number, int)]
            known = map(self._labelled.get, deleted)
            labels = [self._withdrawal(*one) for one in known if one is not None]
            passed = len(numbers) - len(labels)
        if labels:
            try:
                await run_in_threadpool(self._write, [label.to_output() for label in labels])
            except TransportError as error:
                raise HTTPException(503, str(error)) from None
        for number in deleted:
            self._remember(number, None)
        if passed:
            log.warning("Label Studio told of annotations that belong to no event known here", number=passed)
        return JSONResponse({"labels": len(labels), "passed_over": passed})

    def _withdrawal(self, source: str, id: str, said_ms: int) -> LabelEvent:
        """What takes back what was said then, by Label Studio's clock."""
        return LabelEvent.new(source, id, None, time_ms=max(int(time.time() * 1000), said_ms + 1), sender=SENDER)

    def _result(self, answer: Any, tags: "_Tags") -> dict[str, Any]:
        if answer is None or isinstance(answer, EventError):
            return {"result": [], "score": 0.0, "model_version": self._api.version}
        top = next((one for one in answer["top"] if not tags.values or one["label"] in tags.values), None)
        if top is None:
            return {"result": [], "score": 0.0, "model_version": answer["versions"]["adapter"]}
        value, score = {"choices": [top["label"]]}, {"score": top["adapted"]}
        said = {"from_name": tags.choices, "to_name": tags.image, "type": "choices", "value": value}
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
        number, who = annotation.get("id"), None if annotator is None else str(annotator)
        if isinstance(number, int) and self._labelled.get(number, ()) is None:
            return None
        try:
            said = LabelEvent.new(source, id, label, time_ms=time_ms, annotator=who, sender=SENDER)
        except EventError:
            return None
        if isinstance(number, int) and label is not None:
            self._remember(number, (source, id, said.time_ms))
        elif isinstance(number, int):
            self._labelled.pop(number, None)  # it says nothing any more that its deletion would take back
        return said

    def _remember(self, number: int, what: tuple[str, str, int] | None) -> None:
        """What is known of an annotation; of the newest `_REMEMBERED`."""
        self._labelled[number] = what
        self._labelled.move_to_end(number)
        if len(self._labelled) > _REMEMBERED:
            self._labelled.popitem(last=False)


async def _json(request: Request) -> dict[str, Any]:
    given = await read_json(request, _BODY_BYTES)
    if not isinstance(given, dict):
        raise HTTPException(400, "the body is no JSON object")
    return given


def _annotations(given: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Each task with its annotation: one of each, or lists of them where predictions were taken over."""
    task, annotation = given.get("task"), given.get("annotation")
    if not isinstance(annotation, list):
        return [(task, annotation)]
    tasks = {str(one.get("id")): one for one in _list(task) if isinstance(one, dict)}
    return [(tasks.get(str(one.get("task"))) if isinstance(one, dict) else None, one) for one in annotation]


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


class _Tags(NamedTuple):
    """Names of the first `Choices` and the first `Image` of a labelling configuration.

    Attributes:
        key: of a task's data, where its picture is: what the `Image` has as `value="$key"`.
        values: of all `Choice`s: what may be said; empty: whatever there is.
    """

    choices: str
    image: str
    key: str
    values: frozenset[str]


def _tags(config: str) -> _Tags:
    """Read a labelling configuration, in a time that grows as its length does.

    Raises:
        HTTPException: 400, it is too long, no XML, or declares a document type, which may hold entities of any size.
    """
    if len(config) > _CONFIG_CHARACTERS:
        raise HTTPException(
            400, f"`label_config` has {len(config):,} characters, more than {_CONFIG_CHARACTERS:,}: offer fewer choices"
        )
    first: dict[str, dict[str, str]] = {}
    values = set[str]()

    def begin(tag: str, attributes: dict[str, str]) -> None:
        if tag in ("Choices", "Image"):
            first.setdefault(tag, attributes)
        elif tag == "Choice" and "value" in attributes:
            values.add(canonical_name(attributes["value"]))

    def refuse(*_: object) -> None:
        raise HTTPException(400, "`label_config` declares a document type; leave `<!DOCTYPE` out")

    if config.strip():
        parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler, parser.StartDoctypeDeclHandler = begin, refuse
        try:
            parser.Parse(config.strip().encode(), True)
        except expat.ExpatError as error:
            raise HTTPException(400, f"`label_config` is no XML: {error}") from None
    choices, image = first.get("Choices", {}), first.get("Image", {})
    key = image.get("value", "image").lstrip("$")
    return _Tags(choices.get("name", "choice"), image.get("name", "image"), key, frozenset(values))


def _picture(task: Any, key: str) -> Asked | None:
    """A task's picture: a `data:` address, or one that `references.allow` lets through."""
    data = task.get("data") if isinstance(task, dict) else None
    address = data.get(key) if isinstance(data, dict) else None
    if not isinstance(address, str):
        return None
    try:
        if address.startswith("data:"):
            return Asked(from_picture(address, key)[1])
        return Asked(b"", reference=Reference.parse(address))
    except EventError:
        return None
