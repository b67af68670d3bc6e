import datetime
from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.flight_list import FlightList
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    origin: str | Unset = UNSET,
    destination: str | Unset = UNSET,
    departure: datetime.date | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["cursor"] = cursor

    params["limit"] = limit

    params["origin"] = origin

    params["destination"] = destination

    json_departure: str | Unset = UNSET
    if not isinstance(departure, Unset):
        json_departure = departure.isoformat()
    params["departure"] = json_departure

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/airliner/flights",
        "params": params,
    }

    return _kwargs


def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> ErrorBody | FlightList | None:
    if response.status_code == 200:
        response_200 = FlightList.from_dict(response.json())

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
) -> Response[ErrorBody | FlightList]:
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
    origin: str | Unset = UNSET,
    destination: str | Unset = UNSET,
    departure: datetime.date | Unset = UNSET,
) -> Response[ErrorBody | FlightList]:
    """List the flights, all or by origin, destination and day of departure

    Args:
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        origin (str | Unset): An IATA code.
        destination (str | Unset): An IATA code.
        departure (datetime.date | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | FlightList]
    """

    kwargs = _get_kwargs(
        cursor=cursor,
        limit=limit,
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
    origin: str | Unset = UNSET,
    destination: str | Unset = UNSET,
    departure: datetime.date | Unset = UNSET,
) -> ErrorBody | FlightList | None:
    """List the flights, all or by origin, destination and day of departure

    Args:
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        origin (str | Unset): An IATA code.
        destination (str | Unset): An IATA code.
        departure (datetime.date | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | FlightList
    """

    return sync_detailed(
        client=client,
        cursor=cursor,
        limit=limit,
        origin=origin,
        destination=destination,
        departure=departure,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    cursor: str | Unset = UNSET,
    limit: int | Unset = 50,
    origin: str | Unset = UNSET,
    destination: str | Unset = UNSET,
    departure: datetime.date | Unset = UNSET,
) -> Response[ErrorBody | FlightList]:
    """List the flights, all or by origin, destination and day of departure

    Args:
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        origin (str | Unset): An IATA code.
        destination (str | Unset): An IATA code.
        departure (datetime.date | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | FlightList]
    """

    kwargs = _get_kwargs(
        cursor=cursor,
        limit=limit,
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
    origin: str | Unset = UNSET,
    destination: str | Unset = UNSET,
    departure: datetime.date | Unset = UNSET,
) -> ErrorBody | FlightList | None:
    """List the flights, all or by origin, destination and day of departure

    Args:
        cursor (str | Unset):
        limit (int | Unset):  Default: 50.
        origin (str | Unset): An IATA code.
        destination (str | Unset): An IATA code.
        departure (datetime.date | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | FlightList
    """

    return (
        await asyncio_detailed(
            client=client,
            cursor=cursor,
            limit=limit,
            origin=origin,
            destination=destination,
            departure=departure,
        )
    ).parsed
