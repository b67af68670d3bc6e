from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.notification_envelope import NotificationEnvelope
from ...models.rate_limited import RateLimited
from ...models.template_notification import TemplateNotification
from ...models.text_notification import TextNotification
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: TemplateNotification | TextNotification,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/airliner/notifications",
    }

    if isinstance(body, TemplateNotification):
        _kwargs["json"] = body.to_dict()
    else:
        _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | NotificationEnvelope | RateLimited | None:
    if response.status_code == 202:
        response_202 = NotificationEnvelope.from_dict(response.json())

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
) -> Response[ErrorBody | NotificationEnvelope | RateLimited]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: TemplateNotification | TextNotification,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | NotificationEnvelope | RateLimited]:
    """Send a notification

     It is stored before the response, and delivered in the background. Users notify themselves, at
    their verified e-mail address or a webhook that they registered. Services notify anyone.

    Limited to 60 requests in 60 seconds per user.

    Args:
        idempotency_key (str | Unset):
        body (TemplateNotification | TextNotification): A notification to send: a template and its
            data, or a subject and a message.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | NotificationEnvelope | RateLimited]
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
    client: AuthenticatedClient,
    body: TemplateNotification | TextNotification,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | NotificationEnvelope | RateLimited | None:
    """Send a notification

     It is stored before the response, and delivered in the background. Users notify themselves, at
    their verified e-mail address or a webhook that they registered. Services notify anyone.

    Limited to 60 requests in 60 seconds per user.

    Args:
        idempotency_key (str | Unset):
        body (TemplateNotification | TextNotification): A notification to send: a template and its
            data, or a subject and a message.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | NotificationEnvelope | RateLimited
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: TemplateNotification | TextNotification,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | NotificationEnvelope | RateLimited]:
    """Send a notification

     It is stored before the response, and delivered in the background. Users notify themselves, at
    their verified e-mail address or a webhook that they registered. Services notify anyone.

    Limited to 60 requests in 60 seconds per user.

    Args:
        idempotency_key (str | Unset):
        body (TemplateNotification | TextNotification): A notification to send: a template and its
            data, or a subject and a message.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | NotificationEnvelope | RateLimited]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: TemplateNotification | TextNotification,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | NotificationEnvelope | RateLimited | None:
    """Send a notification

     It is stored before the response, and delivered in the background. Users notify themselves, at
    their verified e-mail address or a webhook that they registered. Services notify anyone.

    Limited to 60 requests in 60 seconds per user.

    Args:
        idempotency_key (str | Unset):
        body (TemplateNotification | TextNotification): A notification to send: a template and its
            data, or a subject and a message.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | NotificationEnvelope | RateLimited
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
