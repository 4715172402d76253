-- Codes of a category run from 1 without gaps, so a code is its own subscript in a list of the values; code 0 and a
-- missing code give NULL. One row of lists, made once per query, costs far less than one join per category column.
CREATE VIEW reporting.category_list AS
SELECT
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'NAME_CONTRACT_TYPE') AS name_contract_type,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'CODE_GENDER') AS code_gender,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'FLAG_OWN_CAR') AS flag_own_car,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'FLAG_OWN_REALTY') AS flag_own_realty,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'NAME_TYPE_SUITE') AS name_type_suite,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'NAME_INCOME_TYPE') AS name_income_type,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'NAME_EDUCATION_TYPE') AS name_education_type,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'NAME_FAMILY_STATUS') AS name_family_status,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'NAME_HOUSING_TYPE') AS name_housing_type,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'OCCUPATION_TYPE') AS occupation_type,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'WEEKDAY_APPR_PROCESS_START')
        AS weekday_appr_process_start,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'ORGANIZATION_TYPE') AS organization_type,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'FONDKAPREMONT_MODE') AS fondkapremont_mode,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'HOUSETYPE_MODE') AS housetype_mode,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'WALLSMATERIAL_MODE') AS wallsmaterial_mode,
    array_agg(k.value ORDER BY k.code) FILTER (WHERE f.name = 'EMERGENCYSTATE_MODE') AS emergencystate_mode
FROM credit.feature_category AS k
JOIN credit.feature AS f ON f.feature_id = k.feature_id
WHERE f.kind = 'category';

COMMENT ON VIEW reporting.category_list IS
    'The known values of each category column, as written in the application file, as lists in code order: '
    'element n belongs to code n. One row.';
COMMENT ON COLUMN reporting.category_list.name_contract_type IS 'Known values of NAME_CONTRACT_TYPE.';
COMMENT ON COLUMN reporting.category_list.code_gender IS 'Known values of CODE_GENDER.';
COMMENT ON COLUMN reporting.category_list.flag_own_car IS 'Known values of FLAG_OWN_CAR.';
COMMENT ON COLUMN reporting.category_list.flag_own_realty IS 'Known values of FLAG_OWN_REALTY.';
COMMENT ON COLUMN reporting.category_list.name_type_suite IS 'Known values of NAME_TYPE_SUITE.';
COMMENT ON COLUMN reporting.category_list.name_income_type IS 'Known values of NAME_INCOME_TYPE.';
COMMENT ON COLUMN reporting.category_list.name_education_type IS 'Known values of NAME_EDUCATION_TYPE.';
COMMENT ON COLUMN reporting.category_list.name_family_status IS 'Known values of NAME_FAMILY_STATUS.';
COMMENT ON COLUMN reporting.category_list.name_housing_type IS 'Known values of NAME_HOUSING_TYPE.';
COMMENT ON COLUMN reporting.category_list.occupation_type IS 'Known values of OCCUPATION_TYPE.';
COMMENT ON COLUMN reporting.category_list.weekday_appr_process_start IS
    'Known values of WEEKDAY_APPR_PROCESS_START.';
COMMENT ON COLUMN reporting.category_list.organization_type IS 'Known values of ORGANIZATION_TYPE.';
COMMENT ON COLUMN reporting.category_list.fondkapremont_mode IS 'Known values of FONDKAPREMONT_MODE.';
COMMENT ON COLUMN reporting.category_list.housetype_mode IS 'Known values of HOUSETYPE_MODE.';
COMMENT ON COLUMN reporting.category_list.wallsmaterial_mode IS 'Known values of WALLSMATERIAL_MODE.';
COMMENT ON COLUMN reporting.category_list.emergencystate_mode IS 'Known values of EMERGENCYSTATE_MODE.';
