from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.factor_added import FactorAdded
from ...models.new_passkey import NewPasskey
from ...models.rate_limited import RateLimited
from ...types import Response


def _get_kwargs(
    *,
    body: NewPasskey,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/airliner/factors/passkeys",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | FactorAdded | RateLimited | None:
    if response.status_code == 200:
        response_200 = FactorAdded.from_dict(response.json())

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
) -> Response[ErrorBody | FactorAdded | RateLimited]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: NewPasskey,
) -> Response[ErrorBody | FactorAdded | RateLimited]:
    """Add a passkey that the browser has made

     The session continues under a new id. The first second factor brings ten backup codes, which are
    shown only in this response. Requires a login in the last five minutes.

    Limited to 30 requests in 3600 seconds per user.

    Args:
        body (NewPasskey): The body of POST /factors/passkeys.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | FactorAdded | RateLimited]
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
    body: NewPasskey,
) -> ErrorBody | FactorAdded | RateLimited | None:
    """Add a passkey that the browser has made

     The session continues under a new id. The first second factor brings ten backup codes, which are
    shown only in this response. Requires a login in the last five minutes.

    Limited to 30 requests in 3600 seconds per user.

    Args:
        body (NewPasskey): The body of POST /factors/passkeys.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | FactorAdded | RateLimited
    """

    return sync_detailed(
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: NewPasskey,
) -> Response[ErrorBody | FactorAdded | RateLimited]:
    """Add a passkey that the browser has made

     The session continues under a new id. The first second factor brings ten backup codes, which are
    shown only in this response. Requires a login in the last five minutes.

    Limited to 30 requests in 3600 seconds per user.

    Args:
        body (NewPasskey): The body of POST /factors/passkeys.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | FactorAdded | RateLimited]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: NewPasskey,
) -> ErrorBody | FactorAdded | RateLimited | None:
    """Add a passkey that the browser has made

     The session continues under a new id. The first second factor brings ten backup codes, which are
    shown only in this response. Requires a login in the last five minutes.

    Limited to 30 requests in 3600 seconds per user.

    Args:
        body (NewPasskey): The body of POST /factors/passkeys.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | FactorAdded | RateLimited
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
        )
    ).parsed
