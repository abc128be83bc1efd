"""A real Label Studio asks the backend for pre-annotations and tells it of annotations: `make label-studio-test`.

Ends with one line of JSON. `--record tests/service/web/label_studio.json` writes what it sent for the tests there.
"""

import argparse
import base64
import contextlib
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.label_studio.studio import VERSION, LabelStudio
from tests.service.web.studio import CONFIG, TOKEN, Studio

EMAIL = "ann@example.org"
_ACTIONS = ["ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"]


class Recording:
    """An ASGI application that is another one, and keeps what was asked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        body = b""

        async def heard() -> Message:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            return message

        await self._app(scope, heard, send)
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            scheme = headers.get("authorization", "").partition(" ")[0]
            document = json.loads(body) if body else None
            if isinstance(document, dict) and isinstance(document.get("project"), dict):
                document["project"] = {
                    "id": document["project"]["id"]
                }  # the rest is nobody's business, a token among it
            self.asked.append(
                {"method": scope["method"], "path": scope["path"], "scheme": scheme, "document": document}
            )


def wait_for(found: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"no {what} within {seconds:g} s"
        time.sleep(0.2)
    return value


def chosen(name: str) -> list[dict[str, Any]]:
    return [{"from_name": "animal", "to_name": "shot", "type": "choices", "value": {"choices": [name]}}]


def walk(label_studio: LabelStudio, studio: Studio) -> dict[str, Any]:
    """The page docs/label-studio.md, step by step."""
    backend = f"http://127.0.0.1:{studio.server.port}/label-studio"
    project = label_studio("POST", "/api/projects/", {"title": "animals", "label_config": CONFIG})["id"]
    model = {"project": project, "url": backend, "title": "stream_adapter", "auth_method": "BASIC_AUTH"}
    model |= {"basic_auth_user": "anybody", "basic_auth_pass": TOKEN}
    connected = label_studio("POST", "/api/ml/", model)
    state = wait_for(lambda: label_studio("GET", f"/api/ml/{connected['id']}")["state"], "state of the backend")
    assert state == "CO", f"Label Studio does not call the backend connected: {state}"
    hook = {"url": f"{backend}/webhook", "headers": {"Authorization": f"Bearer {TOKEN}"}, "send_payload": True}
    hook |= {"send_for_all_actions": False, "actions": _ACTIONS}
    label_studio("POST", "/api/webhooks/", hook | {"project": project})

    names = ["cat", "dog", "cat", "dog"]
    pictures = [
        f"data:image/png;base64,{base64.b64encode(f'{name} {n}'.encode()).decode()}" for n, name in enumerate(names)
    ]
    tasks = [
        {"data": {"image": address, "ce_source": "/camera", "ce_id": f"event {n}"}}
        for n, address in enumerate(pictures)
    ]
    label_studio("POST", f"/api/projects/{project}/import", tasks)
    ids = sorted(task["id"] for task in label_studio("GET", f"/api/projects/{project}/tasks/?page_size=100"))
    label_studio(
        "POST",
        f"/api/dm/actions/?id=retrieve_tasks_predictions&project={project}",
        {"selectedItems": {"all": True, "excluded": []}},
    )

    def predictions() -> list[Any]:
        found = [label_studio("GET", f"/api/tasks/{id}/")["predictions"] for id in ids]
        return found if all(found) else []

    for name, (said, *_) in zip(names, wait_for(predictions, "pre-annotations"), strict=True):
        assert said["result"][0]["value"]["choices"] == [name], said
        assert 0.0 < said["score"] <= 1.0 and said["model_version"], said

    first = label_studio("POST", f"/api/tasks/{ids[0]}/annotations/", {"result": chosen("dog")})["id"]
    label_studio("PATCH", f"/api/annotations/{first}/", {"result": chosen("cat")})
    second = label_studio("POST", f"/api/tasks/{ids[1]}/annotations/", {"result": chosen("cat")})["id"]
    label_studio("DELETE", f"/api/annotations/{second}/")
    wait_for(lambda: len(studio.written) >= 4, "label events")
    label_studio(
        "POST",
        f"/api/dm/actions/?id=predictions_to_annotations&project={project}",
        {"selectedItems": {"all": False, "included": ids[2:]}},
    )
    wait_for(lambda: len(studio.written) >= 6, "label events of predictions that were taken over")
    label_studio("DELETE", f"/api/tasks/{ids[3]}/")  # nothing is told of its annotations
    label_studio("PATCH", f"/api/annotations/{first}/", {"result": chosen("dog")})
    wait_for(lambda: len(studio.written) >= 7, "label event after a task was deleted")
    found = [(one["id"], one.get("label"), one.get("annotator")) for one in studio.written]
    assert [one[:2] for one in found] == [
        ("event 0", "dog"),
        ("event 0", "cat"),
        ("event 1", "cat"),
        ("event 1", None),
        ("event 2", "cat"),
        ("event 3", "dog"),
        ("event 0", "dog"),
    ], found
    assert all(annotator for _, label, annotator in found if label), found
    return {"label_studio": VERSION, "predictions": len(ids), "labels": found}


def main() -> None:
    """Walk, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path)
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="label-studio-")))
        label_studio = LabelStudio(folder, EMAIL)
        stack.callback(label_studio.stop)
        recording: list[Recording] = []
        studio = Studio(lambda app: recording.append(Recording(app)) or recording[-1])  # type: ignore[func-returns-value]
        stack.callback(studio.stop)
        label_studio.wait()
        report = walk(label_studio, studio)
        if given.record is not None:
            given.record.write_text(json.dumps(recording[0].asked, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
