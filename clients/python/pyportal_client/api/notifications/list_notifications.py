from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.list_notifications_channel import (
    ListNotificationsChannel,
)
from ...models.list_notifications_status import (
    ListNotificationsStatus,
)
from ...models.notification_list import NotificationList
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    status: ListNotificationsStatus | Unset = UNSET,
    channel: ListNotificationsChannel | Unset = UNSET,
    unread: bool | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["cursor"] = cursor

    params["limit"] = limit

    json_status: str | Unset = UNSET
    if not isinstance(status, Unset):
        json_status = status

    params["status"] = json_status

    json_channel: str | Unset = UNSET
    if not isinstance(channel, Unset):
        json_channel = channel

    params["channel"] = json_channel

    params["unread"] = unread

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/airliner/notifications",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | NotificationList | None:
    if response.status_code == 200:
        response_200 = NotificationList.from_dict(response.json())

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
) -> Response[ErrorBody | NotificationList]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    status: ListNotificationsStatus | Unset = UNSET,
    channel: ListNotificationsChannel | Unset = UNSET,
    unread: bool | Unset = UNSET,
) -> Response[ErrorBody | NotificationList]:
    """List the user's notifications and their delivery status

     The newest notification comes first. With `channel`, `unread=false` or two filters, a page may
    have fewer items than `limit`, or none, and a `next`.

    Args:
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        status (ListNotificationsStatus | Unset):
        channel (ListNotificationsChannel | Unset):
        unread (bool | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | NotificationList]
    """

    kwargs = _get_kwargs(
        cursor=cursor,
        limit=limit,
        status=status,
        channel=channel,
        unread=unread,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    status: ListNotificationsStatus | Unset = UNSET,
    channel: ListNotificationsChannel | Unset = UNSET,
    unread: bool | Unset = UNSET,
) -> ErrorBody | NotificationList | None:
    """List the user's notifications and their delivery status

     The newest notification comes first. With `channel`, `unread=false` or two filters, a page may
    have fewer items than `limit`, or none, and a `next`.

    Args:
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        status (ListNotificationsStatus | Unset):
        channel (ListNotificationsChannel | Unset):
        unread (bool | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | NotificationList
    """

    return sync_detailed(
        client=client,
        cursor=cursor,
        limit=limit,
        status=status,
        channel=channel,
        unread=unread,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    status: ListNotificationsStatus | Unset = UNSET,
    channel: ListNotificationsChannel | Unset = UNSET,
    unread: bool | Unset = UNSET,
) -> Response[ErrorBody | NotificationList]:
    """List the user's notifications and their delivery status

     The newest notification comes first. With `channel`, `unread=false` or two filters, a page may
    have fewer items than `limit`, or none, and a `next`.

    Args:
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        status (ListNotificationsStatus | Unset):
        channel (ListNotificationsChannel | Unset):
        unread (bool | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | NotificationList]
    """

    kwargs = _get_kwargs(
        cursor=cursor,
        limit=limit,
        status=status,
        channel=channel,
        unread=unread,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    status: ListNotificationsStatus | Unset = UNSET,
    channel: ListNotificationsChannel | Unset = UNSET,
    unread: bool | Unset = UNSET,
) -> ErrorBody | NotificationList | None:
    """List the user's notifications and their delivery status

     The newest notification comes first. With `channel`, `unread=false` or two filters, a page may
    have fewer items than `limit`, or none, and a `next`.

    Args:
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        status (ListNotificationsStatus | Unset):
        channel (ListNotificationsChannel | Unset):
        unread (bool | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | NotificationList
    """

    return (
        await asyncio_detailed(
            client=client,
            cursor=cursor,
            limit=limit,
            status=status,
            channel=channel,
            unread=unread,
        )
    ).parsed
