"""Every feature has exactly one reason, and every reason words in both languages that can be sent to a customer."""

from __future__ import annotations

import hashlib
import re

import pytest

from scoring.dictionary_lines import DictionaryError
from scoring.feature_groups import feature_groups
from scoring.preprocess import explained_features
from scoring.reason_catalogue import Reason, parse, reason_catalogue

HEADER = "code,features,refusal_en,refusal_fr,advisor_en,advisor_fr,action_en,action_fr\n"
NONE = "R00,,None.,Aucun.,Look.,Regardez.,,\n"
# Codes that were given, with the first feature of what they speak of. A line is added, never changed or taken away.
GIVEN = {
    "R00": None,
    "R01": "EXT_SOURCE_1",
    "R02": "AMT_CREDIT",
    "R03": "CREDIT_GOODS_PERCENT",
    "R04": "NAME_CONTRACT_TYPE",
    "R05": "AMT_INCOME_TOTAL",
    "R06": "DAYS_EMPLOYED",
    "R07": "NAME_INCOME_TYPE",
    "R08": "NAME_EDUCATION_TYPE",
    "R09": "FLAG_OWN_CAR",
    "R10": "FLAG_OWN_REALTY",
    "R11": "APARTMENTS_AVG",
    "R12": "REG_REGION_NOT_LIVE_REGION",
    "R13": "FLAG_MOBIL",
    "R14": "DAYS_REGISTRATION",
    "R15": "FLAG_DOCUMENT_2",
    "R16": "AMT_REQ_CREDIT_BUREAU_HOUR",
    "R17": "CNT_CHILDREN",
    "R18": "WEEKDAY_APPR_PROCESS_START",
    "R99": "CODE_GENDER",
}
NO_REASON = {
    "en": r"gender|sex|male|female|m[ae]n|wom[ae]n|husband|wife|married|marriage|marital|single (?!detail)|divorced"
    r"|widow\w*|spouse|partner|family|child\w*|age|aged|old|older|young\w*|region|district|neighbou?r\w*|friends?|race"
    r"|origin|religio\w*|health|fault|fail\w*|lie[ds]?|false|fraud\w*|suspicious|bad|percent|average|others?'",
    "fr": r"genre|sexe|hommes?|femmes?|mari|mariée?s?|épou\w*|conjoint\w*|célibataires?|divorc\w*|veuf|veuve"
    r"|famille|familial\w*|matrimonial\w*|enfants?|âge|âgée?s?|jeunes?|région\w*|quartier|voisin\w*|amis?|race|origine\w*"
    r"|religi\w*|santé|faute|échec|mensong\w*|faux|fausse\w*|fraud\w*|suspect\w*|mauvais\w*|pourcent\w*|moyenne"
    # English in French.
    r"|score card|scoring|feedback|rating|monitoring|dossier client",
}  # fmt: skip


def told() -> list[Reason]:
    return [reason for reason in reason_catalogue().reasons if reason.refusal_en]


def texts(reason: Reason, language: str) -> dict[str, str]:
    names = [f"{part}_{language}" for part in ("refusal", "advisor", "action")]
    return {name: getattr(reason, name) for name in names if getattr(reason, name)}


def test_every_explained_feature_is_in_exactly_one_reason() -> None:
    members = [name for reason in reason_catalogue().reasons for name in reason.features]
    assert sorted(members) == sorted(feature.name for feature in explained_features())


def test_features_that_say_the_same_thing_are_one_reason() -> None:
    of = {name: reason.code for reason in reason_catalogue().reasons for name in reason.features}
    for group in feature_groups():
        assert len({of[name] for name in group.members if name in of}) <= 1, group.name


def test_a_code_that_was_given_keeps_its_meaning() -> None:
    found = {reason.code: reason.features[0] if reason.features else None for reason in reason_catalogue().reasons}
    assert {code: found.get(code) for code in GIVEN} == GIVEN
    assert set(found) == set(GIVEN), "a new code is written down in GIVEN"


def test_only_who_somebody_is_where_he_lives_and_what_others_do_has_no_words() -> None:
    (silent,) = (reason for reason in reason_catalogue().reasons if not reason.refusal_en)
    assert set(silent.features) == {
        "CODE_GENDER", "NAME_FAMILY_STATUS", "DAYS_BIRTH", "NAME_TYPE_SUITE",
        "REGION_POPULATION_RELATIVE", "REGION_RATING_CLIENT", "REGION_RATING_CLIENT_W_CITY",
        "OBS_30_CNT_SOCIAL_CIRCLE", "DEF_30_CNT_SOCIAL_CIRCLE",
        "OBS_60_CNT_SOCIAL_CIRCLE", "DEF_60_CNT_SOCIAL_CIRCLE",
    }  # fmt: skip


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_text_accuses_counts_others_or_speaks_of_who_somebody_is(language: str) -> None:
    forbidden = re.compile(rf"(?<!\w)(?:{NO_REASON[language]})(?!\w)|[\d%€]", re.IGNORECASE)
    for reason in told():
        for name, text in texts(reason, language).items():
            assert forbidden.findall(text) == [], f"{reason.code} {name}: {text}"


@pytest.mark.parametrize("language", ["en", "fr"])
def test_each_text_is_one_sentence_that_speaks_to_its_reader(language: str) -> None:
    you = {"en": r"\byour?\b", "fr": r"\bvo(?:us|tre|s)\b|\bdemandé\b"}[language]
    for reason in told():
        for name, text in texts(reason, language).items():
            assert text[0].isupper() and text.endswith(".") and text.count(".") == 1, text
            assert len(text) <= 160, text
            if not name.startswith("advisor"):
                assert re.search(you, text, re.IGNORECASE), text


def test_french_is_written_as_french() -> None:
    for reason in told():
        for text in texts(reason, "fr").values():
            # What needs a space that does not break is not used, so that none can be wrong.
            assert not re.search(r"[;:!?«»\"]", text), text
            assert not re.search(r"\b(?:tu|ton|ta|tes)\b", text), text


def test_the_version_is_the_digest_of_a_text_that_reads_as_the_same_catalogue() -> None:
    catalogue = reason_catalogue()
    again = parse(catalogue.text, feature_groups())
    assert again == catalogue and again.text == catalogue.text
    assert catalogue.sha256 == hashlib.sha256(catalogue.text.encode()).hexdigest()


def test_how_the_file_is_written_makes_no_other_version() -> None:
    one = HEADER + NONE + line("R01", everything())
    other = one.replace("\n", "\r\n").replace("None.", '"None."')
    assert parse(one, feature_groups()).sha256 == parse(other, feature_groups()).sha256
    changed = one.replace("None.", "Nothing.")
    assert parse(changed, feature_groups()).sha256 != parse(one, feature_groups()).sha256


def everything(but: str = "") -> str:
    return " ".join(group.name for group in feature_groups() if group.group_id and group.name != but)


def line(code: str, features: str, texts: str = "Told {0}.,Dit {0}.,See {0}.,Voyez {0}.,,") -> str:
    return f"{code},{features},{texts.format(code)}\n"


BROKEN = {
    "a code that is none": (NONE + line("R1", everything()), r"line 3, column code: 'R1'"),
    "a code twice": (NONE + line("R00", everything()), r"line 3, column code: 'R00' was used"),
    "an unknown feature": (NONE + line("R01", "AMT_CREDITS"), r"line 3, column features: 'AMT_CREDITS'"),
    "a feature left out": (NONE + line("R01", everything("car")), r"no line has 'FLAG_OWN_CAR'"),
    "a group in two reasons": (
        NONE + line("R01", everything()) + line("R02", "OWN_CAR_AGE"),
        r"line 4, column features: 'FLAG_OWN_CAR' is in a reason already",
    ),
    "no line for no reason": (line("R01", everything()), r"column features: one line has none, .* not 0"),
    "two lines for no reason": (
        NONE + line("R01", "") + line("R02", everything()),
        r"column features: one line has none, .* not 2",
    ),
    "one language": (
        NONE + line("R01", everything(), "Told.,,See.,Voyez.,,"),
        r"line 3, column refusal_fr: empty",
    ),
    "an action in one language": (
        NONE + line("R01", everything(), "Told.,Dit.,See.,Voyez.,Do.,"),
        r"line 3, column action_fr: empty",
    ),
    "an action without a reason": (
        NONE + line("R01", everything(), ",,,,Do.,Faites."),
        r"line 3, column refusal_en: empty",
    ),
    "a text twice": (
        NONE + line("R01", everything("car")) + line("R02", "car", "Told R01.,Dit.,See.,Voyez.,,"),
        r"line 4, column refusal_en: 'Told R01.' was used",
    ),
    "two sentences": (
        NONE + line("R01", everything(), "Told. Again.,Dit.,See.,Voyez.,,"),
        r"line 3, column refusal_en: 'Told. Again.' is not one sentence",
    ),
    "a line of nothing": (NONE + line("R01", "", ",,,,,"), r"line 3, column features"),
    "a cell too few": (NONE + "R01,car\n", r"line 3, column features: 2 cells"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "told"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_line_is_named(lines: str, told: str) -> None:
    with pytest.raises(DictionaryError, match=rf"^reasons.csv line \d+, column .*{told.partition('column ')[2]}"):
        parse(HEADER + lines, feature_groups())
    with pytest.raises(DictionaryError, match=told):
        parse(HEADER + lines, feature_groups())
