from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.rate_limited import RateLimited
from ...models.user_envelope import UserEnvelope
from ...models.user_update import UserUpdate
from ...types import Response


def _get_kwargs(
    user_id: int,
    *,
    body: UserUpdate,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "patch",
        "url": "/api/v1/airliner/users/{user_id}".format(
            user_id=quote(str(user_id), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | RateLimited | UserEnvelope | None:
    if response.status_code == 200:
        response_200 = UserEnvelope.from_dict(response.json())

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
) -> Response[ErrorBody | RateLimited | UserEnvelope]:
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
    body: UserUpdate,
) -> Response[ErrorBody | RateLimited | UserEnvelope]:
    """Change a user

     Users change themselves; admins change every user. Omitted fields stay unchanged; null removes
    a value. Changing `email` or another user requires the caller's password, or a login in the last
    five minutes; with a second factor always the latter. A new address is unverified until the link
    that is mailed to it is used. Wrong passwords count as failed logins.

    Args:
        user_id (int):
        body (UserUpdate): The body of PATCH /users/{user_id}. Omitted fields stay unchanged; null
            removes a value.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RateLimited | UserEnvelope]
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
    body: UserUpdate,
) -> ErrorBody | RateLimited | UserEnvelope | None:
    """Change a user

     Users change themselves; admins change every user. Omitted fields stay unchanged; null removes
    a value. Changing `email` or another user requires the caller's password, or a login in the last
    five minutes; with a second factor always the latter. A new address is unverified until the link
    that is mailed to it is used. Wrong passwords count as failed logins.

    Args:
        user_id (int):
        body (UserUpdate): The body of PATCH /users/{user_id}. Omitted fields stay unchanged; null
            removes a value.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RateLimited | UserEnvelope
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
    body: UserUpdate,
) -> Response[ErrorBody | RateLimited | UserEnvelope]:
    """Change a user

     Users change themselves; admins change every user. Omitted fields stay unchanged; null removes
    a value. Changing `email` or another user requires the caller's password, or a login in the last
    five minutes; with a second factor always the latter. A new address is unverified until the link
    that is mailed to it is used. Wrong passwords count as failed logins.

    Args:
        user_id (int):
        body (UserUpdate): The body of PATCH /users/{user_id}. Omitted fields stay unchanged; null
            removes a value.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RateLimited | UserEnvelope]
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
    body: UserUpdate,
) -> ErrorBody | RateLimited | UserEnvelope | None:
    """Change a user

     Users change themselves; admins change every user. Omitted fields stay unchanged; null removes
    a value. Changing `email` or another user requires the caller's password, or a login in the last
    five minutes; with a second factor always the latter. A new address is unverified until the link
    that is mailed to it is used. Wrong passwords count as failed logins.

    Args:
        user_id (int):
        body (UserUpdate): The body of PATCH /users/{user_id}. Omitted fields stay unchanged; null
            removes a value.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RateLimited | UserEnvelope
    """

    return (
        await asyncio_detailed(
            user_id=user_id,
            client=client,
            body=body,
        )
    ).parsed
