from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.rate_limited import RateLimited
from ...models.user_list import UserList
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    username: str | Unset = UNSET,
    email: str | Unset = UNSET,
    cursor: str | Unset = "0",
    limit: int | Unset = 50,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["username"] = username

    params["email"] = email

    params["cursor"] = cursor

    params["limit"] = limit

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/airliner/users",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | RateLimited | UserList | None:
    if response.status_code == 200:
        response_200 = UserList.from_dict(response.json())

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
) -> Response[ErrorBody | RateLimited | UserList]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    username: str | Unset = UNSET,
    email: str | Unset = UNSET,
    cursor: str | Unset = "0",
    limit: int | Unset = 50,
) -> Response[ErrorBody | RateLimited | UserList]:
    """List the users, or find one by username or e-mail address

     For admins. A list has pages; a search has at most one item.

    Limited to 600 requests in 60 seconds per user.

    Args:
        username (str | Unset):
        email (str | Unset):
        cursor (str | Unset):  Default: '0'.
        limit (int | Unset):  Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RateLimited | UserList]
    """

    kwargs = _get_kwargs(
        username=username,
        email=email,
        cursor=cursor,
        limit=limit,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    username: str | Unset = UNSET,
    email: str | Unset = UNSET,
    cursor: str | Unset = "0",
    limit: int | Unset = 50,
) -> ErrorBody | RateLimited | UserList | None:
    """List the users, or find one by username or e-mail address

     For admins. A list has pages; a search has at most one item.

    Limited to 600 requests in 60 seconds per user.

    Args:
        username (str | Unset):
        email (str | Unset):
        cursor (str | Unset):  Default: '0'.
        limit (int | Unset):  Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RateLimited | UserList
    """

    return sync_detailed(
        client=client,
        username=username,
        email=email,
        cursor=cursor,
        limit=limit,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    username: str | Unset = UNSET,
    email: str | Unset = UNSET,
    cursor: str | Unset = "0",
    limit: int | Unset = 50,
) -> Response[ErrorBody | RateLimited | UserList]:
    """List the users, or find one by username or e-mail address

     For admins. A list has pages; a search has at most one item.

    Limited to 600 requests in 60 seconds per user.

    Args:
        username (str | Unset):
        email (str | Unset):
        cursor (str | Unset):  Default: '0'.
        limit (int | Unset):  Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RateLimited | UserList]
    """

    kwargs = _get_kwargs(
        username=username,
        email=email,
        cursor=cursor,
        limit=limit,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    username: str | Unset = UNSET,
    email: str | Unset = UNSET,
    cursor: str | Unset = "0",
    limit: int | Unset = 50,
) -> ErrorBody | RateLimited | UserList | None:
    """List the users, or find one by username or e-mail address

     For admins. A list has pages; a search has at most one item.

    Limited to 600 requests in 60 seconds per user.

    Args:
        username (str | Unset):
        email (str | Unset):
        cursor (str | Unset):  Default: '0'.
        limit (int | Unset):  Default: 50.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RateLimited | UserList
    """

    return (
        await asyncio_detailed(
            client=client,
            username=username,
            email=email,
            cursor=cursor,
            limit=limit,
        )
    ).parsed
