import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.recovery_view import RecoveryView
from ...types import UNSET, Response, Unset


def _get_kwargs(
    webhook_id: int,
    *,
    since: datetime.datetime | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_since: str | Unset = UNSET
    if not isinstance(since, Unset):
        json_since = since.isoformat()
    params["since"] = json_since

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/airliner/webhooks/{webhook_id}/recover".format(
            webhook_id=quote(str(webhook_id), safe=""),
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | RecoveryView | None:
    if response.status_code == 202:
        response_202 = RecoveryView.from_dict(response.json())

        return response_202

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
) -> Response[ErrorBody | RecoveryView]:
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
    since: datetime.datetime | Unset = UNSET,
) -> Response[ErrorBody | RecoveryView]:
    """Retry all events that failed or were suppressed, or those since a time

     At most 10,000: if there were so many, call it again. While the webhook is disabled it is a 409
    `webhook-disabled`.

    Args:
        webhook_id (int):
        since (datetime.datetime | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RecoveryView]
    """

    kwargs = _get_kwargs(
        webhook_id=webhook_id,
        since=since,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    webhook_id: int,
    *,
    client: AuthenticatedClient,
    since: datetime.datetime | Unset = UNSET,
) -> ErrorBody | RecoveryView | None:
    """Retry all events that failed or were suppressed, or those since a time

     At most 10,000: if there were so many, call it again. While the webhook is disabled it is a 409
    `webhook-disabled`.

    Args:
        webhook_id (int):
        since (datetime.datetime | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RecoveryView
    """

    return sync_detailed(
        webhook_id=webhook_id,
        client=client,
        since=since,
    ).parsed


async def asyncio_detailed(
    webhook_id: int,
    *,
    client: AuthenticatedClient,
    since: datetime.datetime | Unset = UNSET,
) -> Response[ErrorBody | RecoveryView]:
    """Retry all events that failed or were suppressed, or those since a time

     At most 10,000: if there were so many, call it again. While the webhook is disabled it is a 409
    `webhook-disabled`.

    Args:
        webhook_id (int):
        since (datetime.datetime | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RecoveryView]
    """

    kwargs = _get_kwargs(
        webhook_id=webhook_id,
        since=since,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    webhook_id: int,
    *,
    client: AuthenticatedClient,
    since: datetime.datetime | Unset = UNSET,
) -> ErrorBody | RecoveryView | None:
    """Retry all events that failed or were suppressed, or those since a time

     At most 10,000: if there were so many, call it again. While the webhook is disabled it is a 409
    `webhook-disabled`.

    Args:
        webhook_id (int):
        since (datetime.datetime | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RecoveryView
    """

    return (
        await asyncio_detailed(
            webhook_id=webhook_id,
            client=client,
            since=since,
        )
    ).parsed
