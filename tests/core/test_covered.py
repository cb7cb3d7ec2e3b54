"""What the tests are to reach is judged of the core as a whole, and of each driver apart."""

from pathlib import PurePath

from covered import File, Report, Summary, by_folder, shortfalls

ALL = Summary(100, 100, 40, 40)


def judged(**files: Summary) -> list[str]:
    """What is said of files, `a__b` standing for `src/a/b.py`."""
    named = {f"src/{name.replace('__', '/')}.py": File(each) for name, each in files.items()}
    return list(shortfalls(by_folder(Report(named))))


def test_folders_add_up_what_lies_in_them() -> None:
    found = by_folder(Report({"src/jobcore/a.py": File(ALL), "src/jobcore/b.py": File(Summary(1, 0, 2, 1))}))
    assert found == {PurePath("src/jobcore"): Summary(101, 100, 42, 41)}


def test_branches_of_the_core_may_lack_in_one_place_if_others_make_up_for_it() -> None:
    assert judged(jobcore__queue=ALL, jobcore__cli__app=Summary(100, 90, 40, 36)) == []
    (said,) = judged(jobcore__queue=ALL, jobcore__cli__app=Summary(100, 100, 40, 35))
    assert said == "too few branches of the core were reached: 93.75%, where 95% are asked for"


def test_no_driver_makes_up_for_another_s_lines() -> None:
    (said,) = judged(backends__redis__link=Summary(100, 99, 40, 40), backends__memory__jobs=ALL, jobcore__queue=ALL)
    assert said == "not all lines of src/backends/redis were reached: 99 of 100"


def test_branches_of_drivers_and_lines_of_the_core_are_only_told() -> None:
    assert judged(backends__redis__link=Summary(100, 100, 40, 0), jobcore__queue=Summary(100, 0, 40, 40)) == []
