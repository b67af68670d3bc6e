from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.flight_envelope import FlightEnvelope
from ...types import Response


def _get_kwargs(
    flight_id: int,
) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/airliner/flights/{flight_id}".format(
            flight_id=quote(str(flight_id), safe=""),
        ),
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | FlightEnvelope | None:
    if response.status_code == 200:
        response_200 = FlightEnvelope.from_dict(response.json())

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
) -> Response[ErrorBody | FlightEnvelope]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    flight_id: int,
    *,
    client: AuthenticatedClient,
) -> Response[ErrorBody | FlightEnvelope]:
    """Show a flight

    Args:
        flight_id (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | FlightEnvelope]
    """

    kwargs = _get_kwargs(
        flight_id=flight_id,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    flight_id: int,
    *,
    client: AuthenticatedClient,
) -> ErrorBody | FlightEnvelope | None:
    """Show a flight

    Args:
        flight_id (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | FlightEnvelope
    """

    return sync_detailed(
        flight_id=flight_id,
        client=client,
    ).parsed


async def asyncio_detailed(
    flight_id: int,
    *,
    client: AuthenticatedClient,
) -> Response[ErrorBody | FlightEnvelope]:
    """Show a flight

    Args:
        flight_id (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | FlightEnvelope]
    """

    kwargs = _get_kwargs(
        flight_id=flight_id,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    flight_id: int,
    *,
    client: AuthenticatedClient,
) -> ErrorBody | FlightEnvelope | None:
    """Show a flight

    Args:
        flight_id (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | FlightEnvelope
    """

    return (
        await asyncio_detailed(
            flight_id=flight_id,
            client=client,
        )
    ).parsed
