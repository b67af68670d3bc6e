"""Cron expressions in time zones, and what they do when clocks change."""

from datetime import UTC, datetime, timedelta

import pytest

from common.pyportal_common.jobs.cron import Cron


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ticks(cron: Cron, begin: str, end: str) -> list[str]:
    """All ticks after `begin` up to `end`, in UTC."""
    found, moment = list[str](), at(begin)
    while (moment := cron.after(moment)) <= at(end):
        found.append(f"{moment:%d %H:%M}")
    return found


def test_a_tick_is_at_the_local_time_of_its_zone() -> None:
    cron = Cron("30 6 * * *", "Asia/Kolkata")

    assert cron.after(at("2026-05-01T00:00")) == at("2026-05-01T01:00")
    assert cron.after(at("2026-05-01T01:00")) == at("2026-05-02T01:00")


class TestClocksGoForward:
    """In Berlin 02:00 is followed by 03:00 on 29 March 2026: 01:00 in UTC."""

    @pytest.mark.parametrize("minute", [0, 30, 59])
    def test_a_time_that_does_not_exist_is_at_the_end_of_the_gap(self, minute: int) -> None:
        cron = Cron(f"{minute} 2 * * *", "Europe/Berlin")

        found = ticks(cron, "2026-03-28T00:00", "2026-03-30T12:00")

        assert found == [f"28 01:{minute:02}", "29 01:00", f"30 00:{minute:02}"]

    def test_two_times_that_do_not_exist_are_one_tick(self) -> None:
        cron = Cron("0,30 2 29 3 *", "Europe/Berlin")

        assert ticks(cron, "2026-03-28T00:00", "2026-03-31T00:00") == ["29 01:00"]

    def test_one_that_repeats_follows_the_time_that_passes(self) -> None:
        cron = Cron("*/30 * * * *", "Europe/Berlin")

        found = ticks(cron, "2026-03-29T00:00", "2026-03-29T02:00")

        assert found == ["29 00:30", "29 01:00", "29 01:30", "29 02:00"]


class TestClocksGoBack:
    """In Berlin 03:00 is followed by 02:00 on 25 October 2026: 01:00 in UTC."""

    def test_a_time_that_is_repeated_is_one_tick_in_the_first_hour(self) -> None:
        cron = Cron("30 2 * * *", "Europe/Berlin")

        found = ticks(cron, "2026-10-24T12:00", "2026-10-26T12:00")

        assert found == ["25 00:30", "26 01:30"]

    def test_one_that_repeats_has_its_ticks_in_both_hours(self) -> None:
        cron = Cron("*/30 * * * *", "Europe/Berlin")

        found = ticks(cron, "2026-10-24T23:30", "2026-10-25T02:00")

        assert found == ["25 00:00", "25 00:30", "25 01:00", "25 01:30", "25 02:00"]

    @pytest.mark.parametrize("moment", ["00:29", "00:30", "00:59", "01:15", "01:45", "03:00"])
    def test_every_process_finds_the_same_latest_tick_in_and_after_that_hour(
        self, moment: str
    ) -> None:
        cron = Cron("30 2 * * *", "Europe/Berlin")

        expected = "2026-10-24T00:30" if moment < "00:30" else "2026-10-25T00:30"

        assert cron.latest(at(f"2026-10-25T{moment}")) == at(expected)


@pytest.mark.parametrize(
    "cron",
    [
        Cron("* * * * *", "UTC"),
        Cron("*/7 1-3 * * *", "Europe/Berlin"),
        Cron("15,45 1,2,3 * * *", "America/New_York"),
        Cron("5 2 * * *", "Australia/Lord_Howe"),  # whose clocks change by half an hour
        Cron("0 0 1 1 *", "Pacific/Apia"),
        Cron("0 12 29 2 *", "UTC"),
        Cron("30 2 * * SUN", "Europe/Berlin"),
    ],
)
def test_the_latest_tick_is_the_last_one_of_those_that_follow_each_other(cron: Cron) -> None:
    """Whenever a process looks: around every change of the clocks, in steps of some minutes."""
    for begin in ("2026-03-28T20:00", "2026-04-04T10:00", "2026-10-24T20:00", "2026-11-01T00:00"):
        moment = at(begin)
        known = cron.latest(moment)
        assert known is not None
        for _ in range(80):
            moment += timedelta(minutes=17)
            while (following := cron.after(known)) <= moment:
                known = following
            assert cron.latest(moment) == known


@pytest.mark.parametrize(
    ("expression", "zone"),
    [
        ("* * * *", "UTC"),
        ("* * * * * *", "UTC"),  # seconds
        ("60 * * * *", "UTC"),
        ("tomorrow", "UTC"),
        ("0 0 30 2 *", "UTC"),
        ("", "UTC"),
        ("* * * * *", "Mars/Olympus"),
        ("* * * * *", "../UTC"),
        ("* * * * *", ""),
    ],
)
def test_an_invalid_expression_or_zone_is_refused_at_once(expression: str, zone: str) -> None:
    with pytest.raises(ValueError, match=r"must have|is not"):
        Cron(expression, zone)
