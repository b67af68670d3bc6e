from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.rate_limited import RateLimited
from ...models.registered import Registered
from ...models.registration import Registration
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: Registration,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/airliner/registerUser",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | RateLimited | Registered | None:
    if response.status_code == 201:
        response_201 = Registered.from_dict(response.json())

        return response_201

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
) -> Response[ErrorBody | RateLimited | Registered]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: Registration,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | RateLimited | Registered]:
    """Register a user

     The user gets an e-mail with a link that verifies the address. The 409 for a taken username or
    e-mail address names each field that is taken.

    Limited to 5 requests in 60 seconds per address.

    Args:
        idempotency_key (str | Unset):
        body (Registration): The body of POST /registerUser.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RateLimited | Registered]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    body: Registration,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | RateLimited | Registered | None:
    """Register a user

     The user gets an e-mail with a link that verifies the address. The 409 for a taken username or
    e-mail address names each field that is taken.

    Limited to 5 requests in 60 seconds per address.

    Args:
        idempotency_key (str | Unset):
        body (Registration): The body of POST /registerUser.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RateLimited | Registered
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: Registration,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | RateLimited | Registered]:
    """Register a user

     The user gets an e-mail with a link that verifies the address. The 409 for a taken username or
    e-mail address names each field that is taken.

    Limited to 5 requests in 60 seconds per address.

    Args:
        idempotency_key (str | Unset):
        body (Registration): The body of POST /registerUser.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RateLimited | Registered]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    body: Registration,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | RateLimited | Registered | None:
    """Register a user

     The user gets an e-mail with a link that verifies the address. The 409 for a taken username or
    e-mail address names each field that is taken.

    Limited to 5 requests in 60 seconds per address.

    Args:
        idempotency_key (str | Unset):
        body (Registration): The body of POST /registerUser.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RateLimited | Registered
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
