"""Cron expressions mean what they mean to cron: on known dates, where clocks change, and beside a slow, obvious twin.

Covers: pipeline/running/schedule/cron.py. Does not cover: waiting for these moments (test_schedule.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sessions import examples

from funkflow.pipeline.running.schedule.cron import Cron
from funkflow.tasks.errors import SettingsError

MONDAY = "2026-11-23T00:00"


def fires(expression: str, after: str, count: int, zone: str = "UTC") -> list[str]:
    """Return as many moments as the clock of the zone shows them: weekday, date, time and distance from UTC."""
    begin = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))
    found = Cron(expression, zone).upcoming(begin, count)
    return [each.astimezone(ZoneInfo(zone)).strftime("%a %d %H:%M:%S%z").removesuffix("+0000") for each in found]


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("0 3 * * 1", "Mon 23, Mon 30"),
        ("0 3 * * 0", "Sun 29, Sun 06"),
        ("0 3 * * 7", "Sun 29, Sun 06"),
        ("0 3 * * mon", "Mon 23, Mon 30"),
        ("0 3 * * 1-5", "Mon 23, Tue 24, Wed 25, Thu 26, Fri 27, Mon 30"),
        ("0 3 * * MON-FRI", "Mon 23, Tue 24, Wed 25, Thu 26, Fri 27, Mon 30"),
        ("0 3 * * 5-7", "Fri 27, Sat 28, Sun 29, Fri 04"),
        ("0 3 * * */2", "Tue 24, Thu 26, Sat 28, Sun 29, Tue 01"),
        ("0 3 * * 1-5/2", "Mon 23, Wed 25, Fri 27, Mon 30"),
        ("0 3 * * sat,sun", "Sat 28, Sun 29, Sat 05"),
        ("0 3 13 * fri", "Fri 27, Fri 04, Fri 11, Sun 13, Fri 18"),  # either
        ("0 3 13 * *", "Sun 13, Wed 13"),
        ("0 3 */2 * mon", "Mon 23, Mon 07, Mon 21"),  # a star, so both: odd Mondays
        ("0 3 1,15 dec *", "Tue 01, Tue 15, Wed 01"),
        ("0 3 L * *", "Mon 30, Thu 31"),
    ],
)
def test_days_are_those_of_cron(expression: str, days: str) -> None:
    wanted = [f"{day} 03:00:00" for day in days.split(", ")]
    assert fires(expression, MONDAY, len(wanted)) == wanted


@pytest.mark.parametrize(
    ("nickname", "wanted"),
    [
        ("@hourly", "Mon 23 01:00:00"),
        ("@daily", "Tue 24 00:00:00"),
        ("@weekly", "Sun 29 00:00:00"),
        ("@monthly", "Tue 01 00:00:00"),
        ("@yearly", "Fri 01 00:00:00"),
        ("*/20 * * * * *", "Mon 23 00:00:20"),
    ],
)
def test_nicknames_and_seconds(nickname: str, wanted: str) -> None:
    assert fires(nickname, MONDAY, 1) == [wanted]


@pytest.mark.parametrize(
    ("zone", "expression", "night", "wanted"),
    [
        ("Europe/Paris", "30 2 * * *", "2026-03-29T00:00", "Sun 29 03:00:00+0200, Mon 30 02:30:00+0200"),
        ("Europe/Paris", "0 3 * * *", "2026-03-29T00:00", "Sun 29 03:00:00+0200, Mon 30 03:00:00+0200"),
        ("Europe/Paris", "30 * * * *", "2026-03-29T01:00", "Sun 29 01:30:00+0100, Sun 29 03:30:00+0200"),
        ("Europe/Paris", "15 1-3 * * *", "2026-03-29T01:00",
         "Sun 29 01:15:00+0100, Sun 29 03:00:00+0200, Sun 29 03:15:00+0200"),
        ("Europe/Paris", "30 2 * * *", "2026-10-25T00:00", "Sun 25 02:30:00+0200, Mon 26 02:30:00+0100"),
        ("Europe/Paris", "30 * * * *", "2026-10-25T02:00",
         "Sun 25 02:30:00+0200, Sun 25 02:30:00+0100, Sun 25 03:30:00+0100"),
        ("America/New_York", "30 2 * * *", "2026-03-08T00:00", "Sun 08 03:00:00-0400, Mon 09 02:30:00-0400"),
        ("America/New_York", "*/30 * * * *", "2026-03-08T01:00",
         "Sun 08 01:30:00-0500, Sun 08 03:00:00-0400, Sun 08 03:30:00-0400"),
        ("America/New_York", "30 1 * * *", "2026-11-01T00:00", "Sun 01 01:30:00-0400, Mon 02 01:30:00-0500"),
        ("America/New_York", "*/30 1 * * *", "2026-11-01T01:00",
         "Sun 01 01:30:00-0400, Sun 01 01:00:00-0500, Sun 01 01:30:00-0500, Mon 02 01:00:00-0500"),
        ("America/New_York", "0 30 1 * * *", "2026-11-01T00:00", "Sun 01 01:30:00-0400, Sun 01 01:30:00-0500"),
        ("Africa/Cairo", "*/30 0,3 * * *", "2026-04-24T01:00",
         "Fri 24 03:00:00+0300, Fri 24 03:30:00+0300, Sat 25 00:00:00+0300"),
    ],
)  # fmt: skip
def test_where_clocks_change(zone: str, expression: str, night: str, wanted: str) -> None:
    moments = wanted.split(", ")
    assert fires(expression, night, len(moments), zone) == moments


def test_from_within_the_second_of_two_equal_hours() -> None:
    """What was done in the first is not done again, and is what was newest."""
    cron, second = Cron("30 1 * * *", "America/New_York"), datetime(2026, 11, 1, 6, 10, tzinfo=UTC)
    assert cron.after(second) == datetime(2026, 11, 2, 6, 30, tzinfo=UTC)
    assert cron.latest(second) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


def test_newest_moment_and_its_logical_date() -> None:
    cron = Cron("30 23 * * 1-5", "America/New_York")
    at = datetime(2026, 11, 28, 4, 30, tzinfo=UTC)  # Friday 23:30 there
    assert cron.latest(at) == at
    assert cron.latest(at + timedelta(days=2)) == at
    assert cron.latest(at - timedelta(microseconds=1)) == at - timedelta(days=1)
    assert cron.logical_date(at).isoformat() == "2026-11-27"
    assert cron.local_time(at) == "2026-11-27 23:30:00-05:00"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("61 3 * * *", "the minute '61' is wrong; it takes 0 to 59"),
        ("0 24 * * *", "the hour '24' is wrong"),
        ("0 3 0 * *", "the day-of-month '0' is wrong"),
        ("0 3 * 13 *", "the month '13' is wrong"),
        ("0 3 * * MUN", "the day-of-week 'MUN' is wrong"),
        ("0 3 * * 5-1", "the day-of-week '5-1' is wrong"),
        ("*/0 3 * * *", "the minute '*/0' is wrong"),
        ("60 0 3 * * *", "the second '60' is wrong"),
        ("0 3 30 2 *", "the day-of-month '30' is wrong"),
        ("0 3 * *", "4 fields, where cron has five"),
        ("", "0 fields, where cron has five"),
        ("@dayly", "there is no such nickname; there are @yearly,"),
    ],
)
def test_a_wrong_expression_is_told_by_its_field(expression: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Cron(expression, "UTC")
    assert message in refused.value.message
    assert f"--cron {expression!r}: " in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("zone", ["Europe/Pariss", "/etc/passwd", "../x", "Europe"])
def test_a_wrong_zone_is_told(zone: str) -> None:
    with pytest.raises(SettingsError, match="there is no such time zone"):
        Cron("@daily", zone)


def test_29_february_comes_after_eight_years() -> None:
    assert Cron("0 0 29 2 *", "UTC").after(datetime(2097, 1, 1, tzinfo=UTC)).year == 2104
    assert Cron("0 0 29 2 *", "UTC").latest(datetime(2104, 2, 1, tzinfo=UTC)) == datetime(2096, 2, 29, tzinfo=UTC)


@dataclass(frozen=True)
class Field:
    """Text of one field, and all values that it means."""

    text: str
    values: frozenset[int]


def field(least: int, most: int) -> st.SearchStrategy[Field]:
    """A star, a step over one, or a list."""
    stars = st.sampled_from([1, 2, 3, 7, 20]).map(
        lambda step: Field(f"*/{step}" if step > 1 else "*", frozenset(range(least, most + 1, step)))
    )
    lists = st.sets(st.integers(least, most), min_size=1, max_size=6).map(
        lambda values: Field(",".join(map(str, sorted(values))), frozenset(values))
    )
    return stars | lists


def matches(fields: tuple[Field, ...], wall: datetime) -> bool:
    minute, hour, day, month, weekday = fields
    on_day, on_weekday = wall.day in day.values, wall.isoweekday() % 7 in {each % 7 for each in weekday.values}
    has_star = day.text.startswith("*") or weekday.text.startswith("*")
    on = on_day and on_weekday if has_star else on_day or on_weekday
    return on and wall.minute in minute.values and wall.hour in hour.values and wall.month in month.values


def minute_by_minute(fields: tuple[Field, ...], zone: ZoneInfo, begin: datetime, minutes: int) -> list[datetime]:
    """Look at the clock of the zone once a minute; where it has jumped, at what it jumped over, too."""
    by_clock = fields[0].text.startswith("*") or fields[1].text.startswith("*")
    found, before = [], (begin - timedelta(minutes=1)).astimezone(zone).replace(tzinfo=None)
    for number in range(minutes):
        moment = begin + timedelta(minutes=number)
        shown = moment.astimezone(zone)
        wall = shown.replace(tzinfo=None)
        skipped = int((wall - before) / timedelta(minutes=1)) - 1
        looks = [before + timedelta(minutes=1 + each) for each in range(skipped)] if not by_clock else []
        if by_clock or not shown.fold:
            looks.append(wall)
        if any(matches(fields, each) for each in looks):
            found.append(moment)
        before = wall
    return found


NIGHTS = {
    "Europe/Paris": ("2026-03-28", "2026-10-24"),
    "America/New_York": ("2026-03-07", "2026-10-31"),
    "Africa/Cairo": ("2026-04-23", "2026-10-28"),
    "Australia/Lord_Howe": ("2026-04-04", "2026-10-03"),
    "America/Sao_Paulo": ("2018-11-03", "2018-02-17"),
    "Asia/Kolkata": ("2026-02-28", "2028-02-28"),
}


@settings(max_examples=examples(40), deadline=None)
@given(
    fields=st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7)),
    place=st.sampled_from([(zone, night) for zone, nights in NIGHTS.items() for night in nights]),
)
@example(
    fields=(
        Field("*/2", frozenset(range(0, 60, 2))), Field("0,3", frozenset({0, 3})), Field("*", frozenset(range(1, 32))),
        Field("*", frozenset(range(1, 13))), Field("*", frozenset(range(8))),
    ),
    place=("Australia/Lord_Howe", "2026-04-04"),
)  # fmt: skip
def test_equals_a_look_at_the_clock_every_minute(fields: tuple[Field, ...], place: tuple[str, str]) -> None:
    zone, days = ZoneInfo(place[0]), 2
    begin = datetime.fromisoformat(place[1]).replace(tzinfo=UTC)
    try:
        cron = Cron(" ".join(each.text for each in fields), place[0])
    except SettingsError:
        months_with_30_or_31_days = {1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
        assert min(fields[2].values) > 28
        assert min(fields[2].values) > 30 or not fields[3].values & months_with_30_or_31_days
        return
    found, moment = [], begin - timedelta(minutes=1)
    while (moment := cron.after(moment)) < begin + timedelta(days=days):
        found.append(moment)
    assert found == minute_by_minute(fields, zone, begin, days * 1440)


@settings(max_examples=examples(40), deadline=None)
@given(weekday=field(0, 7), day=field(1, 31), month=field(1, 12))
def test_days_of_two_years_equal_a_look_at_each(weekday: Field, day: Field, month: Field) -> None:
    fields = (Field("0", frozenset({0})), Field("3", frozenset({3})), day, month, weekday)
    begin = datetime(2027, 1, 1, 3, tzinfo=UTC)
    wanted = [at for at in (begin + timedelta(days=each) for each in range(731)) if matches(fields, at)]
    try:
        cron = Cron(" ".join(each.text for each in fields), "UTC")
    except SettingsError:
        assert wanted == []
        return
    found, moment = [], begin - timedelta(minutes=1)
    while (moment := cron.after(moment)) <= begin + timedelta(days=730):
        found.append(moment)
    assert found == wanted
