from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.webhook_changes import WebhookChanges
from ...models.webhook_envelope import WebhookEnvelope
from ...types import Response


def _get_kwargs(
    webhook_id: int,
    *,
    body: WebhookChanges,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "patch",
        "url": "/api/v1/airliner/webhooks/{webhook_id}".format(
            webhook_id=quote(str(webhook_id), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | WebhookEnvelope | None:
    if response.status_code == 200:
        response_200 = WebhookEnvelope.from_dict(response.json())

        return response_200

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
) -> Response[ErrorBody | WebhookEnvelope]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    webhook_id: int,
    *,
    client: AuthenticatedClient,
    body: WebhookChanges,
) -> Response[ErrorBody | WebhookEnvelope]:
    """Change what a webhook receives, or enable or disable it

     A webhook is disabled by a 410, and by five days in which no event was delivered; its owner gets
    an e-mail. Only you enable it again. Events of the meantime are sent by
    `POST /webhooks/{webhook_id}/recover?since=`.

    Args:
        webhook_id (int):
        body (WebhookChanges): Changes of a webhook. What is omitted stays.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | WebhookEnvelope]
    """

    kwargs = _get_kwargs(
        webhook_id=webhook_id,
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    webhook_id: int,
    *,
    client: AuthenticatedClient,
    body: WebhookChanges,
) -> ErrorBody | WebhookEnvelope | None:
    """Change what a webhook receives, or enable or disable it

     A webhook is disabled by a 410, and by five days in which no event was delivered; its owner gets
    an e-mail. Only you enable it again. Events of the meantime are sent by
    `POST /webhooks/{webhook_id}/recover?since=`.

    Args:
        webhook_id (int):
        body (WebhookChanges): Changes of a webhook. What is omitted stays.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | WebhookEnvelope
    """

    return sync_detailed(
        webhook_id=webhook_id,
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    webhook_id: int,
    *,
    client: AuthenticatedClient,
    body: WebhookChanges,
) -> Response[ErrorBody | WebhookEnvelope]:
    """Change what a webhook receives, or enable or disable it

     A webhook is disabled by a 410, and by five days in which no event was delivered; its owner gets
    an e-mail. Only you enable it again. Events of the meantime are sent by
    `POST /webhooks/{webhook_id}/recover?since=`.

    Args:
        webhook_id (int):
        body (WebhookChanges): Changes of a webhook. What is omitted stays.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | WebhookEnvelope]
    """

    kwargs = _get_kwargs(
        webhook_id=webhook_id,
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    webhook_id: int,
    *,
    client: AuthenticatedClient,
    body: WebhookChanges,
) -> ErrorBody | WebhookEnvelope | None:
    """Change what a webhook receives, or enable or disable it

     A webhook is disabled by a 410, and by five days in which no event was delivered; its owner gets
    an e-mail. Only you enable it again. Events of the meantime are sent by
    `POST /webhooks/{webhook_id}/recover?since=`.

    Args:
        webhook_id (int):
        body (WebhookChanges): Changes of a webhook. What is omitted stays.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | WebhookEnvelope
    """

    return (
        await asyncio_detailed(
            webhook_id=webhook_id,
            client=client,
            body=body,
        )
    ).parsed
