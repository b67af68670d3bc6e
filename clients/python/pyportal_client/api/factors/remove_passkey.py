from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.rate_limited import RateLimited
from ...types import Response


def _get_kwargs(
    passkey_id: int,
) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "delete",
        "url": "/api/v1/airliner/factors/passkeys/{passkey_id}".format(
            passkey_id=quote(str(passkey_id), safe=""),
        ),
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Any | ErrorBody | RateLimited | None:
    if response.status_code == 204:
        response_204 = cast(Any, None)
        return response_204

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
) -> Response[Any | ErrorBody | RateLimited]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    passkey_id: int,
    *,
    client: AuthenticatedClient,
) -> Response[Any | ErrorBody | RateLimited]:
    """Remove a passkey

     With the last second factor, the backup codes are deleted as well. Requires a login in the last
    five minutes.

    Limited to 30 requests in 3600 seconds per user.

    Args:
        passkey_id (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | ErrorBody | RateLimited]
    """

    kwargs = _get_kwargs(
        passkey_id=passkey_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    passkey_id: int,
    *,
    client: AuthenticatedClient,
) -> Any | ErrorBody | RateLimited | None:
    """Remove a passkey

     With the last second factor, the backup codes are deleted as well. Requires a login in the last
    five minutes.

    Limited to 30 requests in 3600 seconds per user.

    Args:
        passkey_id (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | ErrorBody | RateLimited
    """

    return sync_detailed(
        passkey_id=passkey_id,
        client=client,
    ).parsed


async def asyncio_detailed(
    passkey_id: int,
    *,
    client: AuthenticatedClient,
) -> Response[Any | ErrorBody | RateLimited]:
    """Remove a passkey

     With the last second factor, the backup codes are deleted as well. Requires a login in the last
    five minutes.

    Limited to 30 requests in 3600 seconds per user.

    Args:
        passkey_id (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | ErrorBody | RateLimited]
    """

    kwargs = _get_kwargs(
        passkey_id=passkey_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    passkey_id: int,
    *,
    client: AuthenticatedClient,
) -> Any | ErrorBody | RateLimited | None:
    """Remove a passkey

     With the last second factor, the backup codes are deleted as well. Requires a login in the last
    five minutes.

    Limited to 30 requests in 3600 seconds per user.

    Args:
        passkey_id (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | ErrorBody | RateLimited
    """

    return (
        await asyncio_detailed(
            passkey_id=passkey_id,
            client=client,
        )
    ).parsed
