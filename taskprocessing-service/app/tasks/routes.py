"""Tasks over HTTP: parse, call, answer."""

from flask import Blueprint, Response, jsonify

from common.pyportal_common.web import (
    body,
    conditional,
    current_user_id,
    idempotency_key,
    idempotent,
    login_required,
    query,
    rate_limit,
    responses,
    services_only,
)

from . import exports, tasks
from .context import PREFIX, services
from .schemas import NewTask, TaskEnvelope, TaskList, TaskSearch

routes = Blueprint("tasks", __name__, url_prefix=PREFIX)

_SOON = {"Retry-After": "1"}  # seconds, after which it is worth to look


@routes.post("/tasks")
@rate_limit("tasks", by="user")
@login_required()
@idempotent(secret=False)
@body(NewTask)
@responses(
    TaskEnvelope,
    status=202,
    headers={"Location": "Where the task is.", "Retry-After": "Seconds to wait before a look."},
)
def create_task(body: NewTask) -> tuple[Response, int, dict[str, str]]:
    """Want something done. It is accepted, and done soon."""
    task = tasks.create(
        body,
        user_id=current_user_id(),
        idempotency_key=idempotency_key(),
        mine=services(),
    )
    location = {"Location": f"{PREFIX}/tasks/{task['taskId']}"}
    return jsonify(task=task), 202, location | _SOON


@routes.get("/tasks")
@login_required()
@query(TaskSearch)
@responses(TaskList)
def list_tasks(query: TaskSearch) -> Response:
    """One's own tasks, the newest first."""
    mine = services()
    items, before = tasks.page(
        user_id=current_user_id(),
        status=query.status,
        before=None if query.cursor is None else int(query.cursor),
        database=mine.database,
        redis_helper=mine.redis_helper,
    )
    return jsonify(items=items, next=None if before is None else str(before))


@routes.get("/tasks/<id:task_id>")
@login_required()
@conditional
@responses(TaskEnvelope, problems=[404])
def show_task(task_id: int) -> Response:
    """How a task of one's own is getting on."""
    mine = services()
    task = tasks.find(
        task_id,
        user_id=current_user_id(),
        database=mine.database,
        redis_helper=mine.redis_helper,
    )
    return jsonify(task=task)


@routes.get("/tasks/<id:task_id>/file")
@login_required()
@responses(status=200, problems=[404, 410], media_type="application/jsonl")
def download_file(task_id: int) -> Response:
    """The file of a completed export: a task as JSON on each line."""
    mine = services()
    task = tasks.row_of(task_id, user_id=current_user_id(), database=mine.database)
    response = Response(exports.read(task, database=mine.database), mimetype="application/jsonl")
    response.headers["Content-Disposition"] = f'attachment; filename="tasks-{task.reference}.jsonl"'
    response.headers["Content-Length"] = str(task.details["bytes"])
    response.headers["Cache-Control"] = "private, no-store"
    return response


@routes.post("/tasks/<id:task_id>/cancel")
@login_required()
@responses(TaskEnvelope, status=202, problems=[404, 409])
def cancel_task(task_id: int) -> tuple[Response, int]:
    """Cancel a task: at once while it waits, else where it can stop."""
    task = tasks.cancel(task_id, user_id=current_user_id(), mine=services())
    return jsonify(task=task), 202


@routes.post("/users/<id:user_id>/anonymise")
@services_only
@responses(status=204, problems=[404])
def anonymise_user(user_id: int) -> Response:
    """For User Management: forget whose the tasks of a deleted user are."""
    tasks.anonymise(user_id, mine=services())
    return Response(status=204)


@routes.post("/tasks/<id:task_id>/retry")
@login_required()
@responses(TaskEnvelope, status=202, problems=[404, 409])
def retry_task(task_id: int) -> tuple[Response, int, dict[str, str]]:
    """Let a task begin anew that failed or was cancelled."""
    task = tasks.retry(task_id, user_id=current_user_id(), mine=services())
    return jsonify(task=task), 202, _SOON
