from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.rate_limited import RateLimited
from ...models.reauthentication import Reauthentication
from ...models.renewed_session import RenewedSession
from ...types import Response


def _get_kwargs(
    *,
    body: Reauthentication,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/airliner/session/reauthenticate",
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
    *,
    client: AuthenticatedClient,
    body: Reauthentication,
) -> Response[ErrorBody | RateLimited | RenewedSession]:
    """Authenticate again with the password, and with the second factor if the user has one

     Required by routes that respond with a 401 and the challenge
    `error="insufficient_user_authentication"`. The session continues under a new id; the old one
    ends. Wrong passwords and factors count as failed logins.

    Limited to 10 requests in 60 seconds per address.

    Args:
        body (Reauthentication): The body of POST /session/reauthenticate: as for a login.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RateLimited | RenewedSession]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: Reauthentication,
) -> ErrorBody | RateLimited | RenewedSession | None:
    """Authenticate again with the password, and with the second factor if the user has one

     Required by routes that respond with a 401 and the challenge
    `error="insufficient_user_authentication"`. The session continues under a new id; the old one
    ends. Wrong passwords and factors count as failed logins.

    Limited to 10 requests in 60 seconds per address.

    Args:
        body (Reauthentication): The body of POST /session/reauthenticate: as for a login.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RateLimited | RenewedSession
    """

    return sync_detailed(
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: Reauthentication,
) -> Response[ErrorBody | RateLimited | RenewedSession]:
    """Authenticate again with the password, and with the second factor if the user has one

     Required by routes that respond with a 401 and the challenge
    `error="insufficient_user_authentication"`. The session continues under a new id; the old one
    ends. Wrong passwords and factors count as failed logins.

    Limited to 10 requests in 60 seconds per address.

    Args:
        body (Reauthentication): The body of POST /session/reauthenticate: as for a login.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RateLimited | RenewedSession]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: Reauthentication,
) -> ErrorBody | RateLimited | RenewedSession | None:
    """Authenticate again with the password, and with the second factor if the user has one

     Required by routes that respond with a 401 and the challenge
    `error="insufficient_user_authentication"`. The session continues under a new id; the old one
    ends. Wrong passwords and factors count as failed logins.

    Limited to 10 requests in 60 seconds per address.

    Args:
        body (Reauthentication): The body of POST /session/reauthenticate: as for a login.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RateLimited | RenewedSession
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
        )
    ).parsed
