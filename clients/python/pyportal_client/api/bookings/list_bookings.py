import datetime
from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.booking_list import BookingList
from ...models.error_body import ErrorBody
from ...models.list_bookings_status import (
    ListBookingsStatus,
)
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    status: ListBookingsStatus | Unset = UNSET,
    date: datetime.date | Unset = UNSET,
    origin: str | Unset = UNSET,
    destination: str | Unset = UNSET,
    departure: datetime.date | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["cursor"] = cursor

    params["limit"] = limit

    json_status: str | Unset = UNSET
    if not isinstance(status, Unset):
        json_status = status

    params["status"] = json_status

    json_date: str | Unset = UNSET
    if not isinstance(date, Unset):
        json_date = date.isoformat()
    params["date"] = json_date

    params["origin"] = origin

    params["destination"] = destination

    json_departure: str | Unset = UNSET
    if not isinstance(departure, Unset):
        json_departure = departure.isoformat()
    params["departure"] = json_departure

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/airliner/bookings",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> BookingList | ErrorBody | None:
    if response.status_code == 200:
        response_200 = BookingList.from_dict(response.json())

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
) -> Response[BookingList | ErrorBody]:
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
    status: ListBookingsStatus | Unset = UNSET,
    date: datetime.date | Unset = UNSET,
    origin: str | Unset = UNSET,
    destination: str | Unset = UNSET,
    departure: datetime.date | Unset = UNSET,
) -> Response[BookingList | ErrorBody]:
    """List the user's own bookings, the newest first

     With a filter by flight, a page may have fewer items than `limit`, or none, and a `next`.

    Args:
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        status (ListBookingsStatus | Unset):
        date (datetime.date | Unset):
        origin (str | Unset): An IATA code.
        destination (str | Unset): An IATA code.
        departure (datetime.date | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[BookingList | ErrorBody]
    """

    kwargs = _get_kwargs(
        cursor=cursor,
        limit=limit,
        status=status,
        date=date,
        origin=origin,
        destination=destination,
        departure=departure,
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
    status: ListBookingsStatus | Unset = UNSET,
    date: datetime.date | Unset = UNSET,
    origin: str | Unset = UNSET,
    destination: str | Unset = UNSET,
    departure: datetime.date | Unset = UNSET,
) -> BookingList | ErrorBody | None:
    """List the user's own bookings, the newest first

     With a filter by flight, a page may have fewer items than `limit`, or none, and a `next`.

    Args:
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        status (ListBookingsStatus | Unset):
        date (datetime.date | Unset):
        origin (str | Unset): An IATA code.
        destination (str | Unset): An IATA code.
        departure (datetime.date | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        BookingList | ErrorBody
    """

    return sync_detailed(
        client=client,
        cursor=cursor,
        limit=limit,
        status=status,
        date=date,
        origin=origin,
        destination=destination,
        departure=departure,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    status: ListBookingsStatus | Unset = UNSET,
    date: datetime.date | Unset = UNSET,
    origin: str | Unset = UNSET,
    destination: str | Unset = UNSET,
    departure: datetime.date | Unset = UNSET,
) -> Response[BookingList | ErrorBody]:
    """List the user's own bookings, the newest first

     With a filter by flight, a page may have fewer items than `limit`, or none, and a `next`.

    Args:
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        status (ListBookingsStatus | Unset):
        date (datetime.date | Unset):
        origin (str | Unset): An IATA code.
        destination (str | Unset): An IATA code.
        departure (datetime.date | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[BookingList | ErrorBody]
    """

    kwargs = _get_kwargs(
        cursor=cursor,
        limit=limit,
        status=status,
        date=date,
        origin=origin,
        destination=destination,
        departure=departure,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    status: ListBookingsStatus | Unset = UNSET,
    date: datetime.date | Unset = UNSET,
    origin: str | Unset = UNSET,
    destination: str | Unset = UNSET,
    departure: datetime.date | Unset = UNSET,
) -> BookingList | ErrorBody | None:
    """List the user's own bookings, the newest first

     With a filter by flight, a page may have fewer items than `limit`, or none, and a `next`.

    Args:
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        status (ListBookingsStatus | Unset):
        date (datetime.date | Unset):
        origin (str | Unset): An IATA code.
        destination (str | Unset): An IATA code.
        departure (datetime.date | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        BookingList | ErrorBody
    """

    return (
        await asyncio_detailed(
            client=client,
            cursor=cursor,
            limit=limit,
            status=status,
            date=date,
            origin=origin,
            destination=destination,
            departure=departure,
        )
    ).parsed
