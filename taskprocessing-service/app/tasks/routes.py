"""Tasks over HTTP."""

from typing import Any

from flask import Blueprint, Response, jsonify, make_response, url_for

from common.pyportal_common.cache_handlers import keys
from common.pyportal_common.web import (
    body,
    conditional,
    current_user_id,
    idempotent,
    login_required,
    long_poll,
    query,
    rate_limit,
    reads,
    request_key,
    respond_one,
    respond_page,
    responses,
    services_only,
)

from ..services import services
from .schemas import NewTask, TaskEnvelope, TaskList, TaskSearch

routes = Blueprint("tasks", __name__)

_POLL_AFTER = {"Retry-After": "1"}  # seconds


@routes.post("/tasks")
@rate_limit("tasks", by="user")
@login_required()
@body(NewTask)
@idempotent
@responses(
    TaskEnvelope,
    status=202,
    headers={
        "Location": "The URL of the task.",
        "Retry-After": "Seconds to wait before polling the task.",
    },
)
def create_task(body: NewTask) -> Response:
    """Create a task.

    The task is stored durably before the response is sent, and a worker runs it in the background.
    Poll it at `Location` until its `status` is `completed`, `failed` or `cancelled`.
    """
    task = services().tasks.create(body, user_id=current_user_id(), key=request_key(_task_created))
    return _task_created(task)


def _task_created(task: dict[str, Any]) -> Response:
    location = {"Location": url_for("tasks.show_task", task_id=task["taskId"])}
    return make_response(jsonify(task=task), 202, location | _POLL_AFTER)


@routes.get("/tasks")
@login_required()
@reads(keys.user_bookings, by="user")
@query(TaskSearch)
@responses(TaskList)
def list_tasks(query: TaskSearch) -> Response:
    """List the user's own tasks, the newest first."""
    return respond_page(services().tasks.page(query, user_id=current_user_id()))


@routes.get("/tasks/<id:task_id>")
@login_required()
@reads(keys.booking)
@conditional
@long_poll
@responses(TaskEnvelope, problems=[404])
def show_task(task_id: int) -> Response:
    """Show one of the user's own tasks.

    With `Prefer: wait=20` (RFC 7240), the response comes when the task changes, or after 20
    seconds. Send `If-None-Match`, too, so that no change between two requests is missed. A response
    without `Preference-Applied` did not wait, because too many others do: poll after `Retry-After`.
    """
    task = services().tasks.find(task_id, user_id=current_user_id())
    response = respond_one("task", task)
    if task.value["status"] in ("pending", "processing"):
        response.headers.update(_POLL_AFTER)
    return response


@routes.get("/tasks/<id:task_id>/file")
@login_required()
@responses(
    status=200,
    problems=[404, 410],
    headers={"Content-Disposition": "The name of the file."},
    media_type="application/jsonl",
)
def download_file(task_id: int) -> Response:
    """Download the file of a completed export.

    Each line is a task as JSON. 410 once the file has been deleted.
    """
    file = services().exports.open(task_id, user_id=current_user_id())
    response = Response(file.parts, mimetype="application/jsonl")
    response.headers["Content-Disposition"] = f'attachment; filename="{file.name}"'
    response.headers["Content-Length"] = str(file.size)
    response.headers["Cache-Control"] = "private, no-store"
    return response


@routes.post("/tasks/<id:task_id>/cancel")
@login_required()
@responses(TaskEnvelope, status=202, problems=[404, 409])
def cancel_task(task_id: int) -> tuple[Response, int]:
    """Cancel a task.

    A pending task is cancelled at once, a running one at its next step. 409 if it has
    completed or failed.
    """
    return jsonify(task=services().tasks.cancel(task_id, user_id=current_user_id())), 202


@routes.post("/tasks/<id:task_id>/retry")
@login_required()
@responses(TaskEnvelope, status=202, problems=[404, 409])
def retry_task(task_id: int) -> tuple[Response, int, dict[str, str]]:
    """Retry a task that failed or was cancelled."""
    task = services().tasks.retry(task_id, user_id=current_user_id())
    return jsonify(task=task), 202, _POLL_AFTER


@routes.post("/users/<id:user_id>/anonymise")
@services_only
@responses(status=204, problems=[404])
def anonymise_user(user_id: int) -> Response:
    """Remove a deleted user from their tasks and bookings.

    For User Management. Tasks that have not ended are cancelled, and files are deleted.
    """
    services().tasks.anonymise(user_id)
    return Response(status=204)
