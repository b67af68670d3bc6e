from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.task_envelope import TaskEnvelope
from ...types import UNSET, Response, Unset


def _get_kwargs(
    task_id: int,
    *,
    if_none_match: str | Unset = UNSET,
    prefer: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(if_none_match, Unset):
        headers["If-None-Match"] = if_none_match

    if not isinstance(prefer, Unset):
        headers["Prefer"] = prefer

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/v1/airliner/tasks/{task_id}".format(
            task_id=quote(str(task_id), safe=""),
        ),
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Any | ErrorBody | TaskEnvelope | None:
    if response.status_code == 200:
        response_200 = TaskEnvelope.from_dict(response.json())

        return response_200

    if response.status_code == 304:
        response_304 = cast(Any, None)
        return response_304

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
) -> Response[Any | ErrorBody | TaskEnvelope]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    task_id: int,
    *,
    client: AuthenticatedClient,
    if_none_match: str | Unset = UNSET,
    prefer: str | Unset = UNSET,
) -> Response[Any | ErrorBody | TaskEnvelope]:
    """Show one of the user's own tasks

     With `Prefer: wait=20` (RFC 7240), the response comes when the task changes, or after 20
    seconds. Send `If-None-Match`, too, so that no change between two requests is missed. A response
    without `Preference-Applied` did not wait, because too many others do: poll after `Retry-After`.

    Args:
        task_id (int):
        if_none_match (str | Unset):
        prefer (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | ErrorBody | TaskEnvelope]
    """

    kwargs = _get_kwargs(
        task_id=task_id,
        if_none_match=if_none_match,
        prefer=prefer,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    task_id: int,
    *,
    client: AuthenticatedClient,
    if_none_match: str | Unset = UNSET,
    prefer: str | Unset = UNSET,
) -> Any | ErrorBody | TaskEnvelope | None:
    """Show one of the user's own tasks

     With `Prefer: wait=20` (RFC 7240), the response comes when the task changes, or after 20
    seconds. Send `If-None-Match`, too, so that no change between two requests is missed. A response
    without `Preference-Applied` did not wait, because too many others do: poll after `Retry-After`.

    Args:
        task_id (int):
        if_none_match (str | Unset):
        prefer (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | ErrorBody | TaskEnvelope
    """

    return sync_detailed(
        task_id=task_id,
        client=client,
        if_none_match=if_none_match,
        prefer=prefer,
    ).parsed


async def asyncio_detailed(
    task_id: int,
    *,
    client: AuthenticatedClient,
    if_none_match: str | Unset = UNSET,
    prefer: str | Unset = UNSET,
) -> Response[Any | ErrorBody | TaskEnvelope]:
    """Show one of the user's own tasks

     With `Prefer: wait=20` (RFC 7240), the response comes when the task changes, or after 20
    seconds. Send `If-None-Match`, too, so that no change between two requests is missed. A response
    without `Preference-Applied` did not wait, because too many others do: poll after `Retry-After`.

    Args:
        task_id (int):
        if_none_match (str | Unset):
        prefer (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | ErrorBody | TaskEnvelope]
    """

    kwargs = _get_kwargs(
        task_id=task_id,
        if_none_match=if_none_match,
        prefer=prefer,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    task_id: int,
    *,
    client: AuthenticatedClient,
    if_none_match: str | Unset = UNSET,
    prefer: str | Unset = UNSET,
) -> Any | ErrorBody | TaskEnvelope | None:
    """Show one of the user's own tasks

     With `Prefer: wait=20` (RFC 7240), the response comes when the task changes, or after 20
    seconds. Send `If-None-Match`, too, so that no change between two requests is missed. A response
    without `Preference-Applied` did not wait, because too many others do: poll after `Retry-After`.

    Args:
        task_id (int):
        if_none_match (str | Unset):
        prefer (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | ErrorBody | TaskEnvelope
    """

    return (
        await asyncio_detailed(
            task_id=task_id,
            client=client,
            if_none_match=if_none_match,
            prefer=prefer,
        )
    ).parsed
