"""The pages on scaling say what the code does and what the plan computes."""

import re
from pathlib import Path

import pytest
from redis.crc import key_slot

from benchmarks import costs, plan, sheet
from benchmarks.plan import MIX, Workload
from common.pyportal_common.cache_handlers import keys

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "common" / "pyportal_common"
CLUSTER_PAGE = ROOT / "docs" / "redis-cluster.md"
SCALING_PAGE = ROOT / "docs" / "scaling.md"

FUNCTIONS = {"odd_values", "documents", "entries", "struct"}  # that scripts call
ROW = re.compile(r"^\| `([\w/]+)` \| .* \| (one|tags|several) \|$", re.MULTILINE)
# Another key than the first, all keys, or a key that is not in KEYS.
SEVERAL = re.compile(
    r"KEYS\[(?!1\])|#KEYS|(ipairs|unpack)\(KEYS|prefix \.\.|'DEL', ARGV|unpack\(words\)"
)


def scripts() -> dict[str, str]:
    """The texts of all scripts, by the names that the page has for them."""
    files = [file for file in PACKAGE.rglob("*.lua") if file.stem not in FUNCTIONS]
    return {name_of(file): file.read_text("utf-8") for file in files}


def name_of(file: Path) -> str:
    folder = file.parent.name
    return file.stem if folder == file.stem else f"{folder}/{file.stem}"


def without_comments(lua: str) -> str:
    return re.sub(r"--.*", "", lua)


class TestClusterPage:
    def test_every_script_is_on_the_page(self) -> None:
        rows = [name for name, _ in ROW.findall(CLUSTER_PAGE.read_text("utf-8"))]

        assert rows == sorted(scripts())

    def test_the_page_says_which_scripts_have_several_keys(self) -> None:
        slots = dict(ROW.findall(CLUSTER_PAGE.read_text("utf-8")))

        found = {name for name, text in scripts().items() if SEVERAL.search(without_comments(text))}

        assert found == {name for name, number in slots.items() if number != "one"}

    def test_no_script_is_written_in_python(self) -> None:
        files = [file for file in PACKAGE.rglob("*.py") if "testing" not in file.parts]
        written = [file.name for file in files if "redis.call(" in file.read_text("utf-8")]

        assert written == []

    def test_a_value_its_lease_and_its_fence_are_in_one_slot(self) -> None:
        value = keys.user("{7}")

        slots = {key_slot(key.encode()) for key in (value, keys.lease(value), keys.fence(value))}

        assert len(slots) == 1

    def test_a_session_its_index_and_a_tag_are_in_slots_of_their_own(self) -> None:
        several = (keys.session("a"), keys.user_sessions(7), keys.auth_epoch(7), keys.tag("a"))

        assert len({key_slot(key.encode()) for key in several}) == len(several)


class TestPlan:
    @pytest.fixture(params=[1e4, 1e6, 1e8])
    def load(self, request: pytest.FixtureRequest) -> Workload:
        return plan.at_size(request.param)

    def test_shares_of_requests_are_a_whole(self) -> None:
        assert sum(MIX.values()) == pytest.approx(1)

    def test_the_page_has_the_shares_of_requests(self) -> None:
        row = re.search(
            r"^\| what requests are \| (.*?) \|", SCALING_PAGE.read_text("utf-8"), re.MULTILINE
        )

        assert row is not None
        shares = [float(each) for each in re.findall(r"([\d.]+) %", row[1])]
        assert shares == [pytest.approx(100 * share, rel=0.03) for share in MIX.values()]

    def test_all_that_is_done_has_a_cost(self, load: Workload) -> None:
        assert load.rates().keys() == costs.REQUESTS.keys()
        assert all(rate > 0 for rate in load.rates().values())
        assert plan.rows_of(load).keys() == costs.ROW_BYTES.keys()

    def test_requests_that_fill_a_cache_are_among_those_of_clients(self, load: Workload) -> None:
        rates = load.rates()
        del rates[costs.RUN_BOOKING]

        assert sum(rates.values()) == pytest.approx(load.rps)

    def test_ten_times_the_users_take_ten_times_the_memory_and_processors(
        self, load: Workload
    ) -> None:
        tenfold = Workload(10 * load.users, 10 * load.rps)

        assert plan.redis_bytes(tenfold) == pytest.approx(10 * plan.redis_bytes(load))
        assert plan.use_of(tenfold).app_cores == pytest.approx(10 * plan.use_of(load).app_cores)

    def test_a_limit_grows_with_the_requests_of_its_user(self) -> None:
        sizes = [
            plan.bytes_of_a_key("rate_limit", Workload(1e4, rps)) for rps in (1, 100, 1_000, 1e5)
        ]

        assert sizes == sorted(sizes)
        assert sizes[0] < sizes[-1]

    def test_the_tightest_bound_is_first(self, load: Workload) -> None:
        shares = [each.share for each in plan.bounds(load)]

        assert shares == sorted(shares, reverse=True)

    def test_the_sheet_is_printed_for_the_given_numbers(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sheet.main(["--users", "1e6", "--rps", "5000", "--active", "0.2"])

        printed = capsys.readouterr().out
        assert printed.startswith("1,000,000 users, 5,000 requests a second at a peak")
        assert re.search(r"^\| session +\| +200,000 \|", printed, re.MULTILINE)

    @pytest.mark.parametrize(
        "given", ["--users=0", "--rps=-1", "--users=nan", "--rps=inf", "--users=many", "--active=2"]
    )
    def test_a_number_that_means_nothing_is_refused(
        self, given: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            sheet.main(["--users", "1e6", "--rps", "5000", given])

        option, _, number = given.partition("=")
        assert f"argument {option}: {number!r} is not a number above 0" in capsys.readouterr().err

    def test_the_page_has_the_figures_that_the_plan_computes(self) -> None:
        page = SCALING_PAGE.read_text("utf-8")

        assert sheet.overview().markdown() in page
        assert sheet.overview_of_bounds().markdown() in page
