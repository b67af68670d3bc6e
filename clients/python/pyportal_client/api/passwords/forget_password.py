from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.accepted import Accepted
from ...models.error_body import ErrorBody
from ...models.forgotten_password import ForgottenPassword
from ...models.rate_limited import RateLimited
from ...types import Response


def _get_kwargs(
    *,
    body: ForgottenPassword,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/airliner/password/forgot",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Accepted | ErrorBody | RateLimited | None:
    if response.status_code == 202:
        response_202 = Accepted.from_dict(response.json())

        return response_202

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
) -> Response[Accepted | ErrorBody | RateLimited]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: ForgottenPassword,
) -> Response[Accepted | ErrorBody | RateLimited]:
    """Request an e-mail with a link that resets the password

     The response is the same, and takes the same time, whether or not a user has the address.
    Requests are also limited per submitted address.

    Limited to 5 requests in 900 seconds per address.

    Args:
        body (ForgottenPassword): The body of POST /password/forgot.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Accepted | ErrorBody | RateLimited]
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
    client: AuthenticatedClient | Client,
    body: ForgottenPassword,
) -> Accepted | ErrorBody | RateLimited | None:
    """Request an e-mail with a link that resets the password

     The response is the same, and takes the same time, whether or not a user has the address.
    Requests are also limited per submitted address.

    Limited to 5 requests in 900 seconds per address.

    Args:
        body (ForgottenPassword): The body of POST /password/forgot.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Accepted | ErrorBody | RateLimited
    """

    return sync_detailed(
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: ForgottenPassword,
) -> Response[Accepted | ErrorBody | RateLimited]:
    """Request an e-mail with a link that resets the password

     The response is the same, and takes the same time, whether or not a user has the address.
    Requests are also limited per submitted address.

    Limited to 5 requests in 900 seconds per address.

    Args:
        body (ForgottenPassword): The body of POST /password/forgot.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Accepted | ErrorBody | RateLimited]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    body: ForgottenPassword,
) -> Accepted | ErrorBody | RateLimited | None:
    """Request an e-mail with a link that resets the password

     The response is the same, and takes the same time, whether or not a user has the address.
    Requests are also limited per submitted address.

    Limited to 5 requests in 900 seconds per address.

    Args:
        body (ForgottenPassword): The body of POST /password/forgot.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Accepted | ErrorBody | RateLimited
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
        )
    ).parsed
