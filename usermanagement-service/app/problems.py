"""What goes wrong in user management, as HTTP answers it."""

from flask import Flask, Response

from common.pyportal_common.web import Detail, Problem, problem_response, refuse, unauthorized

from .errors import (
    AlreadyVerified,
    InvalidCredentials,
    LinkInvalid,
    PasswordHashingBusy,
    TooManyFailures,
    UserAlreadyExists,
    UserNotFound,
    WeakPassword,
    WrongPassword,
)


def register_problems(app: Flask) -> None:
    """Answer the service's own errors."""
    app.register_error_handler(UserAlreadyExists, _taken)
    app.register_error_handler(UserNotFound, _not_found)
    app.register_error_handler(WrongPassword, _wrong_password)
    app.register_error_handler(WeakPassword, _weak_password)
    app.register_error_handler(InvalidCredentials, _invalid)
    app.register_error_handler(TooManyFailures, _locked)
    app.register_error_handler(PasswordHashingBusy, _busy)
    app.register_error_handler(LinkInvalid, _link_invalid)
    app.register_error_handler(AlreadyVerified, _verified)


def _taken(error: UserAlreadyExists) -> Response:
    details = [Detail(field, "is taken") for field in error.fields]
    return problem_response(Problem(409, "User already exists", details))


def _not_found(_: UserNotFound) -> Response:
    return problem_response(Problem(404, "Not Found"))


def _wrong_password(_: WrongPassword) -> Response:
    return problem_response(Problem(403, "The password is wrong or missing"))


def _weak_password(error: WeakPassword) -> Response:
    details = [Detail("newPassword", str(error))]
    return problem_response(Problem(422, "Validation failed", details))


def _invalid(_: InvalidCredentials) -> Response:
    return problem_response(unauthorized("Wrong username, e-mail address or password"))


def _locked(error: TooManyFailures) -> Response:
    return refuse(error.decision)


def _busy(_: PasswordHashingBusy) -> Response:
    return problem_response(Problem(503, "Too busy, try again", headers={"Retry-After": "2"}))


def _link_invalid(_: LinkInvalid) -> Response:
    details = [Detail("token", "is wrong, used or expired")]
    return problem_response(Problem(400, "The link does not work any more", details))


def _verified(_: AlreadyVerified) -> Response:
    return problem_response(Problem(409, "The e-mail address is verified already"))
