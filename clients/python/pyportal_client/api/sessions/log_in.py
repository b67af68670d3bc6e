from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.email_and_password import EmailAndPassword
from ...models.error_body import ErrorBody
from ...models.logged_in import LoggedIn
from ...models.rate_limited import RateLimited
from ...models.username_and_password import UsernameAndPassword
from ...types import Response


def _get_kwargs(
    *,
    body: EmailAndPassword | UsernameAndPassword,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/airliner/login",
    }

    if isinstance(body, UsernameAndPassword):
        _kwargs["json"] = body.to_dict()
    else:
        _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | LoggedIn | RateLimited | None:
    if response.status_code == 200:
        response_200 = LoggedIn.from_dict(response.json())

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
) -> Response[ErrorBody | LoggedIn | RateLimited]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: EmailAndPassword | UsernameAndPassword,
) -> Response[ErrorBody | LoggedIn | RateLimited]:
    """Log in and start a session

     Users with a second factor send a `code`, of an authenticator app or a backup code, or a
    `passkey` that has signed a challenge of POST /passkeys/challenge. Whatever of this is wrong or
    missing gets the same response. Too many failures lock the name temporarily. A session that is
    sent with the request ends.

    Limited to 10 requests in 60 seconds per address.

    Args:
        body (EmailAndPassword | UsernameAndPassword): The body of POST /login: a password, and a
            username or an e-mail address.

            Users with a second factor send a `code` or a `passkey` as well.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | LoggedIn | RateLimited]
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
    body: EmailAndPassword | UsernameAndPassword,
) -> ErrorBody | LoggedIn | RateLimited | None:
    """Log in and start a session

     Users with a second factor send a `code`, of an authenticator app or a backup code, or a
    `passkey` that has signed a challenge of POST /passkeys/challenge. Whatever of this is wrong or
    missing gets the same response. Too many failures lock the name temporarily. A session that is
    sent with the request ends.

    Limited to 10 requests in 60 seconds per address.

    Args:
        body (EmailAndPassword | UsernameAndPassword): The body of POST /login: a password, and a
            username or an e-mail address.

            Users with a second factor send a `code` or a `passkey` as well.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | LoggedIn | RateLimited
    """

    return sync_detailed(
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    body: EmailAndPassword | UsernameAndPassword,
) -> Response[ErrorBody | LoggedIn | RateLimited]:
    """Log in and start a session

     Users with a second factor send a `code`, of an authenticator app or a backup code, or a
    `passkey` that has signed a challenge of POST /passkeys/challenge. Whatever of this is wrong or
    missing gets the same response. Too many failures lock the name temporarily. A session that is
    sent with the request ends.

    Limited to 10 requests in 60 seconds per address.

    Args:
        body (EmailAndPassword | UsernameAndPassword): The body of POST /login: a password, and a
            username or an e-mail address.

            Users with a second factor send a `code` or a `passkey` as well.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | LoggedIn | RateLimited]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    body: EmailAndPassword | UsernameAndPassword,
) -> ErrorBody | LoggedIn | RateLimited | None:
    """Log in and start a session

     Users with a second factor send a `code`, of an authenticator app or a backup code, or a
    `passkey` that has signed a challenge of POST /passkeys/challenge. Whatever of this is wrong or
    missing gets the same response. Too many failures lock the name temporarily. A session that is
    sent with the request ends.

    Limited to 10 requests in 60 seconds per address.

    Args:
        body (EmailAndPassword | UsernameAndPassword): The body of POST /login: a password, and a
            username or an e-mail address.

            Users with a second factor send a `code` or a `passkey` as well.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | LoggedIn | RateLimited
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
        )
    ).parsed
