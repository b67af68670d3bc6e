from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.password_change import PasswordChange
from ...models.rate_limited import RateLimited
from ...models.renewed_session import RenewedSession
from ...types import Response


def _get_kwargs(
    user_id: int,
    *,
    body: PasswordChange,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "put",
        "url": "/api/v1/airliner/users/{user_id}/password".format(
            user_id=quote(str(user_id), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | RateLimited | RenewedSession | None:
    if response.status_code == 200:
        response_200 = RenewedSession.from_dict(response.json())

        return response_200

    if response.status_code == 429:
        response_429 = RateLimited.from_dict(response.json())

        return response_429

    if response.status_code == 503:
        response_503 = ErrorBody.from_dict(response.json())

        return response_503

    if 400 <= response.status_code <= 499:
        response_4xx = ErrorBody.from_dict(response.json())

        return response_4xx

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ErrorBody | RateLimited | RenewedSession]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    user_id: int,
    *,
    client: AuthenticatedClient,
    body: PasswordChange,
) -> Response[ErrorBody | RateLimited | RenewedSession]:
    """Change your own password

     The current session continues under a new id; all other sessions of the user end. Wrong
    passwords count as failed logins. Users with a second factor must have logged in within five
    minutes.

    Args:
        user_id (int):
        body (PasswordChange): The body of PUT /users/{user_id}/password.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RateLimited | RenewedSession]
    """

    kwargs = _get_kwargs(
        user_id=user_id,
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    user_id: int,
    *,
    client: AuthenticatedClient,
    body: PasswordChange,
) -> ErrorBody | RateLimited | RenewedSession | None:
    """Change your own password

     The current session continues under a new id; all other sessions of the user end. Wrong
    passwords count as failed logins. Users with a second factor must have logged in within five
    minutes.

    Args:
        user_id (int):
        body (PasswordChange): The body of PUT /users/{user_id}/password.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RateLimited | RenewedSession
    """

    return sync_detailed(
        user_id=user_id,
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    user_id: int,
    *,
    client: AuthenticatedClient,
    body: PasswordChange,
) -> Response[ErrorBody | RateLimited | RenewedSession]:
    """Change your own password

     The current session continues under a new id; all other sessions of the user end. Wrong
    passwords count as failed logins. Users with a second factor must have logged in within five
    minutes.

    Args:
        user_id (int):
        body (PasswordChange): The body of PUT /users/{user_id}/password.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RateLimited | RenewedSession]
    """

    kwargs = _get_kwargs(
        user_id=user_id,
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    user_id: int,
    *,
    client: AuthenticatedClient,
    body: PasswordChange,
) -> ErrorBody | RateLimited | RenewedSession | None:
    """Change your own password

     The current session continues under a new id; all other sessions of the user end. Wrong
    passwords count as failed logins. Users with a second factor must have logged in within five
    minutes.

    Args:
        user_id (int):
        body (PasswordChange): The body of PUT /users/{user_id}/password.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RateLimited | RenewedSession
    """

    return (
        await asyncio_detailed(
            user_id=user_id,
            client=client,
            body=body,
        )
    ).parsed
