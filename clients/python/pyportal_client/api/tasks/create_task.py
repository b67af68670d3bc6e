from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.new_booking_cancellation import NewBookingCancellation
from ...models.new_data_export import NewDataExport
from ...models.new_flight_booking import NewFlightBooking
from ...models.rate_limited import RateLimited
from ...models.task_envelope import TaskEnvelope
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: NewBookingCancellation | NewDataExport | NewFlightBooking,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/v1/airliner/tasks",
    }

    if isinstance(body, NewFlightBooking):
        _kwargs["json"] = body.to_dict()
    elif isinstance(body, NewBookingCancellation):
        _kwargs["json"] = body.to_dict()
    else:
        _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | RateLimited | TaskEnvelope | None:
    if response.status_code == 202:
        response_202 = TaskEnvelope.from_dict(response.json())

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
) -> Response[ErrorBody | RateLimited | TaskEnvelope]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: NewBookingCancellation | NewDataExport | NewFlightBooking,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | RateLimited | TaskEnvelope]:
    """Create a task

     The task is stored durably before the response is sent, and a worker runs it in the background.
    Poll it at `Location` until its `status` is `completed`, `failed` or `cancelled`.

    Limited to 1000 requests in 60 seconds per user.

    Args:
        idempotency_key (str | Unset):
        body (NewBookingCancellation | NewDataExport | NewFlightBooking): The body of POST /tasks.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RateLimited | TaskEnvelope]
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
    body: NewBookingCancellation | NewDataExport | NewFlightBooking,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | RateLimited | TaskEnvelope | None:
    """Create a task

     The task is stored durably before the response is sent, and a worker runs it in the background.
    Poll it at `Location` until its `status` is `completed`, `failed` or `cancelled`.

    Limited to 1000 requests in 60 seconds per user.

    Args:
        idempotency_key (str | Unset):
        body (NewBookingCancellation | NewDataExport | NewFlightBooking): The body of POST /tasks.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RateLimited | TaskEnvelope
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: NewBookingCancellation | NewDataExport | NewFlightBooking,
    idempotency_key: str | Unset = UNSET,
) -> Response[ErrorBody | RateLimited | TaskEnvelope]:
    """Create a task

     The task is stored durably before the response is sent, and a worker runs it in the background.
    Poll it at `Location` until its `status` is `completed`, `failed` or `cancelled`.

    Limited to 1000 requests in 60 seconds per user.

    Args:
        idempotency_key (str | Unset):
        body (NewBookingCancellation | NewDataExport | NewFlightBooking): The body of POST /tasks.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | RateLimited | TaskEnvelope]
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
    body: NewBookingCancellation | NewDataExport | NewFlightBooking,
    idempotency_key: str | Unset = UNSET,
) -> ErrorBody | RateLimited | TaskEnvelope | None:
    """Create a task

     The task is stored durably before the response is sent, and a worker runs it in the background.
    Poll it at `Location` until its `status` is `completed`, `failed` or `cancelled`.

    Limited to 1000 requests in 60 seconds per user.

    Args:
        idempotency_key (str | Unset):
        body (NewBookingCancellation | NewDataExport | NewFlightBooking): The body of POST /tasks.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | RateLimited | TaskEnvelope
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
