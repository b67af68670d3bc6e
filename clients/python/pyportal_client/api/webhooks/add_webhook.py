from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.new_secret_envelope import NewSecretEnvelope
from ...models.new_webhook import NewWebhook
from ...types import Response


def _get_kwargs(
    *,
    body: NewWebhook,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/airliner/webhooks",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | NewSecretEnvelope | None:
    if response.status_code == 201:
        response_201 = NewSecretEnvelope.from_dict(response.json())

        return response_201

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
) -> Response[ErrorBody | NewSecretEnvelope]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: NewWebhook,
) -> Response[ErrorBody | NewSecretEnvelope]:
    """Register a webhook

     It receives what happens to you from now on: the events of the given types, or of all. The
    response contains the secret that signs them, as [Standard
    Webhooks](https://www.standardwebhooks.com)
    specifies. It is shown only once.

    A user has at most 100 webhooks: one more is a 409 `too-many-webhooks`. A second one with the
    same URL is a 409 `webhook-already-exists`.

    Args:
        body (NewWebhook): A webhook to register.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | NewSecretEnvelope]
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
    body: NewWebhook,
) -> ErrorBody | NewSecretEnvelope | None:
    """Register a webhook

     It receives what happens to you from now on: the events of the given types, or of all. The
    response contains the secret that signs them, as [Standard
    Webhooks](https://www.standardwebhooks.com)
    specifies. It is shown only once.

    A user has at most 100 webhooks: one more is a 409 `too-many-webhooks`. A second one with the
    same URL is a 409 `webhook-already-exists`.

    Args:
        body (NewWebhook): A webhook to register.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | NewSecretEnvelope
    """

    return sync_detailed(
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: NewWebhook,
) -> Response[ErrorBody | NewSecretEnvelope]:
    """Register a webhook

     It receives what happens to you from now on: the events of the given types, or of all. The
    response contains the secret that signs them, as [Standard
    Webhooks](https://www.standardwebhooks.com)
    specifies. It is shown only once.

    A user has at most 100 webhooks: one more is a 409 `too-many-webhooks`. A second one with the
    same URL is a 409 `webhook-already-exists`.

    Args:
        body (NewWebhook): A webhook to register.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | NewSecretEnvelope]
    """

    kwargs = _get_kwargs(
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: NewWebhook,
) -> ErrorBody | NewSecretEnvelope | None:
    """Register a webhook

     It receives what happens to you from now on: the events of the given types, or of all. The
    response contains the secret that signs them, as [Standard
    Webhooks](https://www.standardwebhooks.com)
    specifies. It is shown only once.

    A user has at most 100 webhooks: one more is a 409 `too-many-webhooks`. A second one with the
    same URL is a 409 `webhook-already-exists`.

    Args:
        body (NewWebhook): A webhook to register.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | NewSecretEnvelope
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
        )
    ).parsed
