"""The feature dictionary keeps its promises to the model, to the input contract and to its readers."""

import ast
import csv
import dataclasses
import inspect
import math
import os
import re
from pathlib import Path

import polars as pl
import pytest

from scoring import features
from scoring.features import DictionaryError, by_name, dictionary, parse_dictionary

REAL_DATA = Path(
    os.environ.get("CREDITLENS_REAL_DATA") or Path(__file__).resolve().parents[3] / "shared" / "home_credit"
)

# Words that both languages spell alike.
SHARED_WORDS = {"Agriculture", "Culture", "Police", "Religion", "Restaurant", "Services"}

# Most extreme values of the full public files (training and test applications together).
FULL_DATA_EXTREMES = {
    "SK_ID_CURR": (100_001, 456_255),
    "CNT_CHILDREN": (0, 20),
    "AMT_INCOME_TOTAL": (25_650, 117_000_000),
    "AMT_CREDIT": (45_000, 4_050_000),
    "AMT_ANNUITY": (1_615.5, 258_025.5),
    "AMT_GOODS_PRICE": (40_500, 4_050_000),
    "REGION_POPULATION_RELATIVE": (0.00029, 0.072508),
    "DAYS_BIRTH": (-25_229, -7_338),
    "DAYS_EMPLOYED": (-17_912, 0),
    "DAYS_REGISTRATION": (-24_672, 0),
    "DAYS_ID_PUBLISH": (-7_197, 0),
    "OWN_CAR_AGE": (0, 91),
    "CNT_FAM_MEMBERS": (1, 21),
    "REGION_RATING_CLIENT": (1, 3),
    "REGION_RATING_CLIENT_W_CITY": (1, 3),
    "HOUR_APPR_PROCESS_START": (0, 23),
    "EXT_SOURCE_2": (8.17e-08, 0.855),
    "APARTMENTS_AVG": (0, 1),
    "OBS_30_CNT_SOCIAL_CIRCLE": (0, 354),
    "DEF_30_CNT_SOCIAL_CIRCLE": (0, 34),
    "DAYS_LAST_PHONE_CHANGE": (-4_292, 0),
    "AMT_REQ_CREDIT_BUREAU_QRT": (0, 261),
    "FLAG_MOBIL": (0, 1),
}

HEADER = (
    "name,origin,kind,dtype,nullable,min,max,missing_code,unit_en,unit_fr,display_scale,display_decimals,"
    "actionable,label_en,label_fr,description_en,description_fr"
)
SMALL_FEATURES = "\n".join(
    (
        HEADER,
        "ID,application,id,int,0,1,,,,,1,0,0,Number,Numéro,A number.,Un numéro.",
        "SORT,application,category,category,0,,,,,,1,0,0,Sort,Sorte,A sort.,Une sorte.",
        "GIVEN,application,flag,int,0,0,1,,,,1,0,1,Given,Fourni,Whether given.,Si fourni.",
        "SHARE,derived,share,float,1,0,1,,%,%,100,1,0,Share,Part,A share.,Une part.",
    )
)
SMALL_CATEGORIES = "\n".join(
    (
        "feature,code,value,label_en,label_fr",
        "SORT,1,a,First,Premier",
        "SORT,2,b,Second,Deuxième",
        "GIVEN,0,0,No,Non",
        "GIVEN,1,1,Yes,Oui",
    )
)


def allows(feature: features.Feature, value: float) -> bool:
    within = (feature.minimum is None or value >= feature.minimum) and (
        feature.maximum is None or value <= feature.maximum
    )
    return within or value == feature.missing_code


def test_ids_are_positions_from_zero_without_gaps() -> None:
    assert [feature.feature_id for feature in dictionary()] == list(range(129))
    assert [feature.feature_id for feature in features.input_features()] == list(range(1, 121))
    assert [feature.feature_id for feature in features.derived_features()] == list(range(121, 129))


def test_names_are_unique_and_lead_to_their_feature() -> None:
    assert len(by_name()) == len(dictionary())
    assert all(by_name()[feature.name] is feature for feature in dictionary())


def test_application_columns_are_the_number_and_the_inputs_in_file_order() -> None:
    columns = features.application_columns()
    assert len(columns) == 121
    assert columns[:3] == ("SK_ID_CURR", "NAME_CONTRACT_TYPE", "CODE_GENDER")
    assert columns[-1] == "AMT_REQ_CREDIT_BUREAU_YEAR"
    assert columns[1:] == tuple(feature.name for feature in features.input_features())


def test_derived_features_are_nullable_floats_in_the_agreed_order() -> None:
    assert [feature.name for feature in features.derived_features()] == [
        "CREDIT_INCOME_PERCENT",
        "ANNUITY_INCOME_PERCENT",
        "CREDIT_TERM",
        "DAYS_EMPLOYED_PERCENT",
        "CREDIT_GOODS_PERCENT",
        "EXT_SOURCE_MEAN",
        "EXT_SOURCE_MIN",
        "EXT_SOURCE_MAX",
    ]
    assert all(feature.dtype == "float" and feature.nullable for feature in features.derived_features())


def test_repeated_calls_return_the_same_objects() -> None:
    assert dictionary() is dictionary()
    assert by_name() is by_name()
    assert features.input_features() is features.input_features()


def test_features_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        dictionary()[0].name = "OTHER"  # type: ignore[misc]
    with pytest.raises(TypeError):
        by_name()["OTHER"] = dictionary()[0]  # type: ignore[index]


def test_category_columns_have_codes_from_one_and_flags_zero_and_one() -> None:
    for feature in dictionary():
        codes = [category.code for category in feature.categories]
        if feature.kind == "category":
            assert codes == list(range(1, len(codes) + 1)) and len(codes) >= 2, feature.name
        elif feature.kind == "flag":
            assert codes == [0, 1], feature.name
        else:
            assert codes == [], feature.name


def test_the_full_vocabulary_is_known() -> None:
    sizes = {feature.name: len(feature.categories) for feature in dictionary() if feature.kind == "category"}
    assert sizes == {
        "NAME_CONTRACT_TYPE": 2,
        "CODE_GENDER": 3,
        "FLAG_OWN_CAR": 2,
        "FLAG_OWN_REALTY": 2,
        "NAME_TYPE_SUITE": 7,
        "NAME_INCOME_TYPE": 8,
        "NAME_EDUCATION_TYPE": 5,
        "NAME_FAMILY_STATUS": 6,
        "NAME_HOUSING_TYPE": 6,
        "OCCUPATION_TYPE": 18,
        "WEEKDAY_APPR_PROCESS_START": 7,
        "ORGANIZATION_TYPE": 58,
        "FONDKAPREMONT_MODE": 4,
        "HOUSETYPE_MODE": 3,
        "WALLSMATERIAL_MODE": 7,
        "EMERGENCYSTATE_MODE": 2,
    }
    rare = {
        "CODE_GENDER": {"XNA"},
        "NAME_INCOME_TYPE": {"Student", "Maternity leave", "Businessman", "Unemployed"},
        "NAME_FAMILY_STATUS": {"Unknown"},
        "ORGANIZATION_TYPE": {"Trade: type 5", "XNA"},
    }
    for name, values in rare.items():
        assert values <= {category.value for category in by_name()[name].categories}


def test_education_and_weekdays_keep_their_natural_order() -> None:
    education = [category.value for category in by_name()["NAME_EDUCATION_TYPE"].categories]
    assert education.index("Lower secondary") < education.index("Higher education")
    assert education[-1] == "Academic degree"
    weekdays = [category.value for category in by_name()["WEEKDAY_APPR_PROCESS_START"].categories]
    assert weekdays[0] == "MONDAY" and weekdays[-1] == "SUNDAY"


def test_labels_are_short_and_unique_in_each_language() -> None:
    for labels in (
        [feature.label_en for feature in dictionary()],
        [feature.label_fr for feature in dictionary()],
    ):
        assert len({label.casefold() for label in labels}) == len(labels)
        assert max(map(len, labels)) <= 32


def test_category_labels_are_unique_within_their_feature() -> None:
    for feature in dictionary():
        assert len({category.label_en for category in feature.categories}) == len(feature.categories)
        assert len({category.label_fr for category in feature.categories}) == len(feature.categories)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_description_is_one_sentence(language: str) -> None:
    for feature in dictionary():
        text = getattr(feature, f"description_{language}")
        assert text[0].isupper() and text.endswith("."), feature.name
        assert not re.search(r"[.!?:;]\s", text), feature.name
        assert "_" not in text and 3 <= len(text.split()) <= 25, feature.name


def test_french_words_differ_from_english_words() -> None:
    for feature in dictionary():
        assert feature.label_fr != feature.label_en, feature.name
        assert feature.description_fr != feature.description_en, feature.name
        for category in feature.categories:
            assert category.label_fr != category.label_en or category.label_en in SHARED_WORDS, category
    assert by_name()["DAYS_BIRTH"].unit_fr == "ans"


def test_texts_are_whole_and_trimmed() -> None:
    for feature in dictionary():
        texts = [feature.label_en, feature.label_fr, feature.description_en, feature.description_fr]
        texts += [text for category in feature.categories for text in (category.label_en, category.label_fr)]
        for text in texts:
            assert text == text.strip() and "  " not in text and "\ufffd" not in text, feature.name


def test_limits_are_ordered_and_every_number_but_the_application_number_has_a_lower_one() -> None:
    for feature in dictionary():
        if feature.dtype == "category":
            assert feature.minimum is None and feature.maximum is None, feature.name
            continue
        assert feature.minimum is not None, feature.name
        if feature.maximum is not None:
            assert feature.minimum < feature.maximum, feature.name


def test_limits_admit_the_extremes_of_the_full_public_data() -> None:
    for name, extremes in FULL_DATA_EXTREMES.items():
        for value in extremes:
            assert allows(by_name()[name], value), (name, value)


def test_limits_refuse_what_cannot_be() -> None:
    impossible = {
        "DAYS_BIRTH": (-17 * 365, -101 * 366, 0),
        "DAYS_EMPLOYED": (1, 365_242),
        "AMT_CREDIT": (0, -1),
        "AMT_INCOME_TOTAL": (0, 2e9),
        "CNT_FAM_MEMBERS": (0,),
        "HOUR_APPR_PROCESS_START": (24, -1),
        "EXT_SOURCE_1": (1.01, -0.01),
        "REGION_RATING_CLIENT": (0, 4, -1),
        "FLAG_EMAIL": (2, -1),
    }
    for name, values in impossible.items():
        for value in values:
            assert not allows(by_name()[name], value), (name, value)


def test_only_two_columns_write_a_number_for_missing() -> None:
    codes = {feature.name: feature.missing_code for feature in dictionary() if feature.missing_code is not None}
    assert codes == {"DAYS_EMPLOYED": 365_243, "REGION_RATING_CLIENT_W_CITY": -1}


def test_columns_that_the_full_data_leaves_empty_are_nullable_and_no_others() -> None:
    nullable = {feature.name for feature in features.input_features() if feature.nullable}
    buildings = {name for name in by_name() if name.endswith(("_AVG", "_MODE", "_MEDI"))}
    others = {
        "AMT_ANNUITY",
        "AMT_GOODS_PRICE",
        "NAME_TYPE_SUITE",
        "OWN_CAR_AGE",
        "OCCUPATION_TYPE",
        "CNT_FAM_MEMBERS",
        "DAYS_LAST_PHONE_CHANGE",
    }
    patterns = ("EXT_SOURCE_", "OBS_", "DEF_", "AMT_REQ_")
    assert len(buildings) == 47
    assert nullable == buildings | others | {
        feature.name for feature in features.input_features() if feature.name.startswith(patterns)
    }


def test_applicants_are_only_told_to_change_what_is_in_their_hands() -> None:
    actionable = {feature.name for feature in dictionary() if feature.actionable}
    assert actionable >= {"AMT_CREDIT", "AMT_ANNUITY", "FLAG_DOCUMENT_3", "FLAG_EMAIL", "CREDIT_TERM"}
    assert actionable.isdisjoint(
        {
            "SK_ID_CURR",
            "CODE_GENDER",
            "DAYS_BIRTH",
            "NAME_FAMILY_STATUS",
            "CNT_CHILDREN",
            "REGION_RATING_CLIENT",
            "EXT_SOURCE_2",
            "EXT_SOURCE_MEAN",
            "APARTMENTS_AVG",
            "DEF_30_CNT_SOCIAL_CIRCLE",
            "WEEKDAY_APPR_PROCESS_START",
        }
    )


NNBSP, NBSP = "\u202f", "\u00a0"


@pytest.mark.parametrize(
    ("name", "value", "english", "french"),
    [
        ("AMT_INCOME_TOTAL", 202_500.0, "202,500 €", f"202{NNBSP}500{NBSP}€"),
        ("AMT_INCOME_TOTAL", 117e6, "117,000,000 €", f"117{NNBSP}000{NNBSP}000{NBSP}€"),
        ("DAYS_BIRTH", -12_930, "35.4 years", f"35,4{NBSP}ans"),
        ("DAYS_REGISTRATION", 0, "0.0 years", f"0,0{NBSP}ans"),
        ("OWN_CAR_AGE", 9, "9 years", f"9{NBSP}ans"),
        ("HOUR_APPR_PROCESS_START", 18, "18 h", f"18{NBSP}h"),
        ("CNT_CHILDREN", 2, "2", "2"),
        ("EXT_SOURCE_2", 0.7896, "0.79", "0,79"),
        ("APARTMENTS_AVG", 0.0247, "0.025", "0,025"),
        ("CREDIT_INCOME_PERCENT", 4.2133, "4.2 × income", f"4,2{NBSP}× revenu"),
        ("ANNUITY_INCOME_PERCENT", 0.1523, "15.2%", f"15,2{NNBSP}%"),
        ("CREDIT_TERM", 20.04, "20.0 annuities", f"20,0{NBSP}échéances"),
        ("SK_ID_CURR", 100_001, "100001", "100001"),
        ("FLAG_EMAIL", 0, "No", "Non"),
        ("FLAG_EMAIL", 1.0, "Yes", "Oui"),
        ("FLAG_OWN_CAR", 2, "Yes", "Oui"),
        ("CODE_GENDER", 1, "Woman", "Femme"),
        ("CODE_GENDER", 0, "not a known value", "valeur inconnue"),
        ("OCCUPATION_TYPE", None, "not given", "non renseigné"),
        ("EXT_SOURCE_1", math.nan, "not given", "non renseigné"),
        ("DAYS_EMPLOYED", 365_243, "not given", "non renseigné"),
        ("REGION_RATING_CLIENT_W_CITY", -1, "not given", "non renseigné"),
    ],
)
def test_display_text_speaks_both_languages(name: str, value: float | None, english: str, french: str) -> None:
    assert by_name()[name].display_text(value, "en") == english
    assert by_name()[name].display_text(value, "fr") == french


@pytest.mark.parametrize(("name", "value"), [("CODE_GENDER", 4), ("FLAG_EMAIL", 0.5), ("AMT_CREDIT", math.inf)])
def test_display_text_refuses_values_without_words(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        by_name()[name].display_text(value, "en")


def test_display_text_refuses_other_languages() -> None:
    with pytest.raises(ValueError, match="de"):
        by_name()["AMT_CREDIT"].display_text(1.0, "de")  # type: ignore[arg-type]


def test_the_small_dictionary_of_the_tests_below_is_valid() -> None:
    assert [feature.name for feature in parse_dictionary(SMALL_FEATURES, SMALL_CATEGORIES)] == [
        "ID",
        "SORT",
        "GIVEN",
        "SHARE",
    ]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("name,origin", "title,origin", "line 1, column name"),
        ("description_fr\n", "description_fr,more\n", "line 1, column more"),
        ("SORT,application", "SORT,elsewhere", "line 3, column origin"),
        ("ID,application,id", "ID,application,number", "line 2, column kind"),
        ("flag,int", "flag,float", "line 4, column dtype"),
        ("category,category", "category,int", "line 3, column dtype"),
        ("float,1,", "float,yes,", "line 5, column nullable"),
        ("float,1,0,1,", "float,1,2,1,", "line 5, column max"),
        ("float,1,0,", "float,1,low,", "line 5, column min"),
        ("float,1,0,", "float,1,nan,", "line 5, column min"),
        ("int,0,1,,", "int,0,1.5,,", "line 2, column min"),
        ("%,%,100", "%,,100", "line 5, column unit_fr"),
        ("%,%,100", "%,%,0", "line 5, column display_scale"),
        ("100,1,0,Share", "100,-1,0,Share", "line 5, column display_decimals"),
        ("Share,Part", "Given,Part", "line 5, column label_en"),
        ("Share,Part", "Share,", "line 5, column label_fr"),
        ("Share,Part", "Share, Part", "line 5, column label_fr"),
        ("A share.,Une part.", "A share.", "line 5, column description_en"),
        ("SHARE,derived", "GIVEN,derived", "line 5, column name"),
        ("SORT,application", "SORT,derived", "line 4, column origin"),
        ("share,float", "id,float", "line 5, column kind"),
        ("ID,application,id", "ID,application,count", "line 2, column kind"),
    ],
)
def test_a_bad_cell_is_reported_with_line_and_column(old: str, new: str, place: str) -> None:
    assert SMALL_FEATURES.count(old) == 1
    text = SMALL_FEATURES.replace(old, new)
    with pytest.raises(DictionaryError, match=re.escape(f"features.csv {place}:")):
        parse_dictionary(text, SMALL_CATEGORIES)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("SORT,1,a", "SPORT,1,a", "categories.csv line 2, column feature"),
        ("SORT,1,a", "SORT,2,a", "categories.csv line 2, column code"),
        ("SORT,2,b", "SORT,3,b", "categories.csv line 3, column code"),
        ("SORT,2,b", "SORT,2,a", "categories.csv line 3, column value"),
        ("SORT,2,b", "SORT,two,b", "categories.csv line 3, column code"),
        ("Second,Deuxième", "Second,Premier", "categories.csv line 3, column label_fr"),
        ("SORT,1,a,First,Premier\nSORT,2,b,Second,Deuxième\n", "", "features.csv line 3, column kind"),
        ("GIVEN,1,1,Yes,Oui", "", "categories.csv line 5, column feature"),
        ("GIVEN,1,1,Yes,Oui", "GIVEN,1,one,Yes,Oui", "features.csv line 4, column kind"),
        ("GIVEN,1,1,Yes,Oui", "GIVEN,1,1,Yes,Oui\nSHARE,1,x,X,Y", "features.csv line 5, column kind"),
    ],
)
def test_a_bad_category_is_reported_with_line_and_column(old: str, new: str, place: str) -> None:
    assert SMALL_CATEGORIES.count(old) == 1
    # A trailing newline lets an emptied last line appear as the blank line that it would be in a file.
    text = SMALL_CATEGORIES.replace(old, new) + "\n"
    with pytest.raises(DictionaryError, match=re.escape(f"{place}:")):
        parse_dictionary(SMALL_FEATURES, text)


def test_an_empty_file_is_reported() -> None:
    with pytest.raises(DictionaryError, match=r"features\.csv line 1, column name"):
        parse_dictionary("", SMALL_CATEGORIES)
    with pytest.raises(DictionaryError, match=r"features\.csv line 2, column name"):
        parse_dictionary(HEADER, SMALL_CATEGORIES)


def test_the_module_reads_nothing_but_its_package_data() -> None:
    tree = ast.parse(inspect.getsource(features))
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    called = {
        node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert imported.isdisjoint({"os", "prefect", "sqlalchemy", "pathlib"})
    assert "open" not in called


def test_applications_fit_the_dictionary() -> None:
    """Real rows when they are at hand; otherwise one made-up application in the same columns and spelling."""
    paths = sorted(REAL_DATA.glob("application_*.csv"))
    frames = [pl.read_csv(path, infer_schema=False) for path in paths] or [made_up_applications()]
    for frame in frames:
        columns = tuple(column for column in frame.columns if column != "TARGET")
        assert columns == features.application_columns()
        for name in features.application_columns():
            check_column(by_name()[name], frame[name])


def test_a_made_up_application_fits_the_dictionary_and_can_be_read_aloud() -> None:
    frame = made_up_applications()
    assert tuple(frame.columns) == features.application_columns()
    for feature in features.input_features():
        check_column(feature, frame[feature.name])
        text = frame[feature.name][0]
        codes = {category.value: float(category.code) for category in feature.categories}
        value = None if text is None else codes[text] if codes else float(text)
        assert "-" not in feature.display_text(value, "en")
        assert feature.display_text(value, "fr")


def made_up_applications() -> pl.DataFrame:
    """One invented application as text, its columns in the published order and spelling."""
    cells: dict[str, str | None] = {
        "SK_ID_CURR": "900001",
        "NAME_CONTRACT_TYPE": "Cash loans",
        "CODE_GENDER": "F",
        "FLAG_OWN_CAR": "N",
        "FLAG_OWN_REALTY": "Y",
        "CNT_CHILDREN": "1",
        "AMT_INCOME_TOTAL": "123456.5",
        "AMT_CREDIT": "300000.0",
        "AMT_ANNUITY": "15000.5",
        "AMT_GOODS_PRICE": "250000.0",
        "NAME_TYPE_SUITE": "Spouse, partner",
        "NAME_INCOME_TYPE": "Maternity leave",
        "NAME_EDUCATION_TYPE": "Secondary / secondary special",
        "NAME_FAMILY_STATUS": "Single / not married",
        "NAME_HOUSING_TYPE": "House / apartment",
        "REGION_POPULATION_RELATIVE": "0.02",
        "DAYS_BIRTH": "-12000",
        "DAYS_EMPLOYED": "365243",
        "DAYS_REGISTRATION": "-4000.0",
        "DAYS_ID_PUBLISH": "-2000",
        "OWN_CAR_AGE": None,
    }
    for phone in ("MOBIL", "EMP_PHONE", "WORK_PHONE", "CONT_MOBILE", "PHONE", "EMAIL"):
        cells[f"FLAG_{phone}"] = "1"
    cells |= {
        "OCCUPATION_TYPE": "Waiters/barmen staff",
        "CNT_FAM_MEMBERS": "2.0",
        "REGION_RATING_CLIENT": "2",
        "REGION_RATING_CLIENT_W_CITY": "-1",
        "WEEKDAY_APPR_PROCESS_START": "MONDAY",
        "HOUR_APPR_PROCESS_START": "11",
    }
    for level in ("REGION", "CITY"):
        for first, second in (("REG", "LIVE"), ("REG", "WORK"), ("LIVE", "WORK")):
            cells[f"{first}_{level}_NOT_{second}_{level}"] = "0"
    cells |= {
        "ORGANIZATION_TYPE": "Industry: type 10",
        "EXT_SOURCE_1": None,
        "EXT_SOURCE_2": "0.5",
        "EXT_SOURCE_3": "0.25",
    }
    building = (
        "APARTMENTS BASEMENTAREA YEARS_BEGINEXPLUATATION YEARS_BUILD COMMONAREA ELEVATORS ENTRANCES "
        "FLOORSMAX FLOORSMIN LANDAREA LIVINGAPARTMENTS LIVINGAREA NONLIVINGAPARTMENTS NONLIVINGAREA"
    )
    for variant in ("AVG", "MODE", "MEDI"):
        for part in building.split():
            cells[f"{part}_{variant}"] = "0.125"
    cells |= {
        "FONDKAPREMONT_MODE": "reg oper spec account",
        "HOUSETYPE_MODE": "block of flats",
        "TOTALAREA_MODE": "0.0392",
        "WALLSMATERIAL_MODE": "Stone, brick",
        "EMERGENCYSTATE_MODE": "No",
    }
    for days in (30, 60):
        cells |= {f"OBS_{days}_CNT_SOCIAL_CIRCLE": "2.0", f"DEF_{days}_CNT_SOCIAL_CIRCLE": "0.0"}
    cells["DAYS_LAST_PHONE_CHANGE"] = "-1000.0"
    for document in range(2, 22):
        cells[f"FLAG_DOCUMENT_{document}"] = "0"
    for period in ("HOUR", "DAY", "WEEK", "MON", "QRT", "YEAR"):
        cells[f"AMT_REQ_CREDIT_BUREAU_{period}"] = "1.0"
    return pl.DataFrame([cells], schema=dict.fromkeys(cells, pl.String))


def check_column(feature: features.Feature, texts: pl.Series) -> None:
    assert feature.nullable or texts.null_count() == 0, feature.name
    given = texts.drop_nulls()
    if feature.dtype == "category":
        assert set(given) <= {category.value for category in feature.categories}, feature.name
        return
    numbers = given.cast(pl.Float64)
    bad = [value for value in numbers.unique() if not allows(feature, value)]
    assert not bad, (feature.name, bad[:5])
    if feature.dtype == "int":
        assert all(value.is_integer() for value in numbers.unique()), feature.name


def test_the_packaged_files_end_their_lines_alike() -> None:
    folder = Path(inspect.getfile(features)).parent / "dictionary"
    for name in ("features.csv", "categories.csv"):
        raw = (folder / name).read_bytes()
        assert b"\r" not in raw and raw.endswith(b"\n") and not raw.startswith(b"\xef\xbb\xbf")
        assert len({len(row) for row in csv.reader(raw.decode("utf-8").splitlines())}) == 1
