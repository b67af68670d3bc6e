from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.delivery_list import DeliveryList
from ...models.error_body import ErrorBody
from ...models.list_deliveries_event_type import (
    ListDeliveriesEventType,
)
from ...models.list_deliveries_status import (
    ListDeliveriesStatus,
)
from ...types import UNSET, Response, Unset


def _get_kwargs(
    webhook_id: int,
    *,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    status: ListDeliveriesStatus | Unset = UNSET,
    event_type: ListDeliveriesEventType | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["cursor"] = cursor

    params["limit"] = limit

    json_status: str | Unset = UNSET
    if not isinstance(status, Unset):
        json_status = status

    params["status"] = json_status

    json_event_type: str | Unset = UNSET
    if not isinstance(event_type, Unset):
        json_event_type = event_type

    params["eventType"] = json_event_type

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/airliner/webhooks/{webhook_id}/deliveries".format(
            webhook_id=quote(str(webhook_id), safe=""),
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> DeliveryList | ErrorBody | None:
    if response.status_code == 200:
        response_200 = DeliveryList.from_dict(response.json())

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
) -> Response[DeliveryList | ErrorBody]:
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
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    status: ListDeliveriesStatus | Unset = UNSET,
    event_type: ListDeliveriesEventType | Unset = UNSET,
) -> Response[DeliveryList | ErrorBody]:
    """List the events that were sent to a webhook, with the attempts to deliver each

     The newest event comes first.

    Args:
        webhook_id (int):
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        status (ListDeliveriesStatus | Unset):
        event_type (ListDeliveriesEventType | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[DeliveryList | ErrorBody]
    """

    kwargs = _get_kwargs(
        webhook_id=webhook_id,
        cursor=cursor,
        limit=limit,
        status=status,
        event_type=event_type,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    webhook_id: int,
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    status: ListDeliveriesStatus | Unset = UNSET,
    event_type: ListDeliveriesEventType | Unset = UNSET,
) -> DeliveryList | ErrorBody | None:
    """List the events that were sent to a webhook, with the attempts to deliver each

     The newest event comes first.

    Args:
        webhook_id (int):
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        status (ListDeliveriesStatus | Unset):
        event_type (ListDeliveriesEventType | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        DeliveryList | ErrorBody
    """

    return sync_detailed(
        webhook_id=webhook_id,
        client=client,
        cursor=cursor,
        limit=limit,
        status=status,
        event_type=event_type,
    ).parsed


async def asyncio_detailed(
    webhook_id: int,
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    status: ListDeliveriesStatus | Unset = UNSET,
    event_type: ListDeliveriesEventType | Unset = UNSET,
) -> Response[DeliveryList | ErrorBody]:
    """List the events that were sent to a webhook, with the attempts to deliver each

     The newest event comes first.

    Args:
        webhook_id (int):
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        status (ListDeliveriesStatus | Unset):
        event_type (ListDeliveriesEventType | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[DeliveryList | ErrorBody]
    """

    kwargs = _get_kwargs(
        webhook_id=webhook_id,
        cursor=cursor,
        limit=limit,
        status=status,
        event_type=event_type,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    webhook_id: int,
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    status: ListDeliveriesStatus | Unset = UNSET,
    event_type: ListDeliveriesEventType | Unset = UNSET,
) -> DeliveryList | ErrorBody | None:
    """List the events that were sent to a webhook, with the attempts to deliver each

     The newest event comes first.

    Args:
        webhook_id (int):
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        status (ListDeliveriesStatus | Unset):
        event_type (ListDeliveriesEventType | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        DeliveryList | ErrorBody
    """

    return (
        await asyncio_detailed(
            webhook_id=webhook_id,
            client=client,
            cursor=cursor,
            limit=limit,
            status=status,
            event_type=event_type,
        )
    ).parsed
