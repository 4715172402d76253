CREATE VIEW reporting.former_customer AS
SELECT
    a.customer_id,
    a.target,
    a.score,
    a.default_probability,
    known.name_contract_type[a.name_contract_type] AS name_contract_type,
    known.code_gender[a.code_gender] AS code_gender,
    known.flag_own_car[a.flag_own_car] AS flag_own_car,
    known.flag_own_realty[a.flag_own_realty] AS flag_own_realty,
    a.cnt_children,
    a.amt_income_total,
    a.amt_credit,
    a.amt_annuity,
    a.amt_goods_price,
    known.name_type_suite[a.name_type_suite] AS name_type_suite,
    known.name_income_type[a.name_income_type] AS name_income_type,
    known.name_education_type[a.name_education_type] AS name_education_type,
    known.name_family_status[a.name_family_status] AS name_family_status,
    known.name_housing_type[a.name_housing_type] AS name_housing_type,
    a.region_population_relative,
    a.days_birth,
    a.days_employed,
    a.days_registration,
    a.days_id_publish,
    a.own_car_age,
    a.flag_mobil,
    a.flag_emp_phone,
    a.flag_work_phone,
    a.flag_cont_mobile,
    a.flag_phone,
    a.flag_email,
    known.occupation_type[a.occupation_type] AS occupation_type,
    a.cnt_fam_members,
    a.region_rating_client,
    a.region_rating_client_w_city,
    known.weekday_appr_process_start[a.weekday_appr_process_start] AS weekday_appr_process_start,
    a.hour_appr_process_start,
    a.reg_region_not_live_region,
    a.reg_region_not_work_region,
    a.live_region_not_work_region,
    a.reg_city_not_live_city,
    a.reg_city_not_work_city,
    a.live_city_not_work_city,
    known.organization_type[a.organization_type] AS organization_type,
    a.ext_source_1,
    a.ext_source_2,
    a.ext_source_3,
    a.apartments_avg,
    a.basementarea_avg,
    a.years_beginexpluatation_avg,
    a.years_build_avg,
    a.commonarea_avg,
    a.elevators_avg,
    a.entrances_avg,
    a.floorsmax_avg,
    a.floorsmin_avg,
    a.landarea_avg,
    a.livingapartments_avg,
    a.livingarea_avg,
    a.nonlivingapartments_avg,
    a.nonlivingarea_avg,
    a.apartments_mode,
    a.basementarea_mode,
    a.years_beginexpluatation_mode,
    a.years_build_mode,
    a.commonarea_mode,
    a.elevators_mode,
    a.entrances_mode,
    a.floorsmax_mode,
    a.floorsmin_mode,
    a.landarea_mode,
    a.livingapartments_mode,
    a.livingarea_mode,
    a.nonlivingapartments_mode,
    a.nonlivingarea_mode,
    a.apartments_medi,
    a.basementarea_medi,
    a.years_beginexpluatation_medi,
    a.years_build_medi,
    a.commonarea_medi,
    a.elevators_medi,
    a.entrances_medi,
    a.floorsmax_medi,
    a.floorsmin_medi,
    a.landarea_medi,
    a.livingapartments_medi,
    a.livingarea_medi,
    a.nonlivingapartments_medi,
    a.nonlivingarea_medi,
    known.fondkapremont_mode[a.fondkapremont_mode] AS fondkapremont_mode,
    known.housetype_mode[a.housetype_mode] AS housetype_mode,
    a.totalarea_mode,
    known.wallsmaterial_mode[a.wallsmaterial_mode] AS wallsmaterial_mode,
    known.emergencystate_mode[a.emergencystate_mode] AS emergencystate_mode,
    a.obs_30_cnt_social_circle,
    a.def_30_cnt_social_circle,
    a.obs_60_cnt_social_circle,
    a.def_60_cnt_social_circle,
    a.days_last_phone_change,
    a.flag_document_2,
    a.flag_document_3,
    a.flag_document_4,
    a.flag_document_5,
    a.flag_document_6,
    a.flag_document_7,
    a.flag_document_8,
    a.flag_document_9,
    a.flag_document_10,
    a.flag_document_11,
    a.flag_document_12,
    a.flag_document_13,
    a.flag_document_14,
    a.flag_document_15,
    a.flag_document_16,
    a.flag_document_17,
    a.flag_document_18,
    a.flag_document_19,
    a.flag_document_20,
    a.flag_document_21,
    a.amt_req_credit_bureau_hour,
    a.amt_req_credit_bureau_day,
    a.amt_req_credit_bureau_week,
    a.amt_req_credit_bureau_mon,
    a.amt_req_credit_bureau_qrt,
    a.amt_req_credit_bureau_year,
    100 * a.default_probability AS default_percent,
    place.band[own.band] AS band,
    place.band_en[own.band] AS band_label_en,
    place.band_fr[own.band] AS band_label_fr,
    suggested.decision[own.decision] AS decision,
    suggested.decision_en[own.decision] AS decision_label_en,
    suggested.decision_fr[own.decision] AS decision_label_fr,
    option.words_en -> 'credit' ->> own.credit AS credit_range_en,
    option.words_fr -> 'credit' ->> own.credit AS credit_range_fr,
    option.words_en -> 'age' ->> own.age AS age_range_en,
    option.words_fr -> 'age' ->> own.age AS age_range_fr,
    option.words_en -> 'annuity_income' ->> own.annuity_income AS annuity_income_range_en,
    option.words_fr -> 'annuity_income' ->> own.annuity_income AS annuity_income_range_fr,
    option.words_en -> 'gender' ->> own.gender AS gender_en,
    option.words_fr -> 'gender' ->> own.gender AS gender_fr,
    option.words_en -> 'education' ->> own.education AS education_en,
    option.words_fr -> 'education' ->> own.education AS education_fr,
    option.words_en -> 'family' ->> own.family AS family_status_en,
    option.words_fr -> 'family' ->> own.family AS family_status_fr,
    option.words_en -> 'housing' ->> own.housing AS housing_en,
    option.words_fr -> 'housing' ->> own.housing AS housing_fr,
    option.words_en -> 'occupation' ->> own.occupation AS occupation_en,
    option.words_fr -> 'occupation' ->> own.occupation AS occupation_fr,
    option.words_en -> 'region' ->> own.region AS region_en,
    option.words_fr -> 'region' ->> own.region AS region_fr,
    option.words_en -> 'contract' ->> own.contract AS contract_type_en,
    option.words_fr -> 'contract' ->> own.contract AS contract_type_fr
FROM credit.former_customer AS a
CROSS JOIN reporting.category_list AS known
CROSS JOIN (
    SELECT
        array_agg(b.minimum_score::integer ORDER BY b.minimum_score) AS minimum_score,
        array_agg(b.band ORDER BY b.minimum_score) AS band,
        array_agg(b.label_en ORDER BY b.minimum_score) AS band_en,
        array_agg(b.label_fr ORDER BY b.minimum_score) AS band_fr,
        array_agg(d.place::integer ORDER BY b.minimum_score) AS decision
    FROM reporting.score_band AS b
    LEFT JOIN credit.suggested_decision AS d ON d.decision = b.decision
) AS place
CROSS JOIN (
    SELECT
        array_agg(d.decision ORDER BY d.place) AS decision,
        array_agg(d.label_en ORDER BY d.place) AS decision_en,
        array_agg(d.label_fr ORDER BY d.place) AS decision_fr
    FROM credit.suggested_decision AS d
) AS suggested
CROSS JOIN (
    -- By contract type, whose codes begin at 0 for an unknown one; empty where scores decide.
    SELECT
        array_agg(COALESCE(special.accept_below, general.accept_below) ORDER BY k.code) AS accept_below,
        array_agg(COALESCE(special.decline_from, general.decline_from) ORDER BY k.code) AS decline_from
    FROM reporting.published_run AS run
    JOIN credit.policy_line AS general ON general.policy_id = run.policy_id AND general.contract_type = 0
    CROSS JOIN (
        SELECT 0 AS code
        UNION ALL
        SELECT c.code
        FROM credit.feature_category AS c
        JOIN credit.feature AS f ON f.feature_id = c.feature_id
        WHERE f.name = 'NAME_CONTRACT_TYPE'
    ) AS k
    LEFT JOIN credit.policy_line AS special
        ON special.policy_id = run.policy_id AND special.contract_type = k.code AND k.code > 0
) AS line
CROSS JOIN (
    -- Options of cohorts in words: a category by its text in the file, a range by its place, what is missing by ''.
    -- Where a range begins is the first number of its words, which say exactly who is in it.
    SELECT
        jsonb_object_agg(words.attribute, words.english) AS words_en,
        jsonb_object_agg(words.attribute, words.french) AS words_fr,
        COALESCE(max(words.limits) FILTER (WHERE words.attribute = 'credit'), '{}') AS credit,
        COALESCE(max(words.limits) FILTER (WHERE words.attribute = 'age'), '{}') AS age,
        COALESCE(max(words.limits) FILTER (WHERE words.attribute = 'annuity_income'), '{}') AS annuity_income
    FROM (
        SELECT
            o.attribute,
            jsonb_object_agg(named.key, o.label_en) AS english,
            jsonb_object_agg(named.key, o.label_fr) AS french,
            array_agg(
                replace(substring(o.label_en FROM '[0-9][0-9,.]*'), ',', '')::double precision ORDER BY o.code
            ) FILTER (WHERE named.ranged AND o.code > 1 AND o.value IS NOT NULL) AS limits
        FROM credit.cohort_option AS o
        CROSS JOIN LATERAL (
            SELECT
                o.attribute IN ('credit', 'age', 'annuity_income') AS ranged,
                CASE
                    WHEN o.attribute NOT IN ('credit', 'age', 'annuity_income') THEN COALESCE(o.value, '')
                    WHEN o.value IS NULL THEN '0'
                    ELSE o.code::text
                END AS key
        ) AS named
        WHERE o.model_id = (SELECT run.model_id FROM reporting.published_run AS run) AND o.code > 0
        GROUP BY o.attribute
    ) AS words
) AS option
CROSS JOIN LATERAL (
    SELECT
        width_bucket(a.score::integer, place.minimum_score) AS band,
        CASE
            WHEN line.accept_below IS NULL THEN place.decision[width_bucket(a.score::integer, place.minimum_score)]
            WHEN a.default_probability < line.accept_below[COALESCE(a.name_contract_type, 0) + 1] THEN 1
            WHEN a.default_probability >= line.decline_from[COALESCE(a.name_contract_type, 0) + 1] THEN 3
            ELSE 2
        END AS decision,
        COALESCE(width_bucket(a.amt_credit * 0.001::double precision, option.credit) + 1, 0)::text AS credit,
        COALESCE(width_bucket(a.days_birth * (-1 / 365.25::double precision), option.age) + 1, 0)::text AS age,
        COALESCE(
            width_bucket(a.amt_annuity / NULLIF(a.amt_income_total, 0)::double precision, option.annuity_income) + 1, 0
        )::text AS annuity_income,
        COALESCE(
            known.code_gender[a.code_gender],
            CASE WHEN a.code_gender IS NULL THEN '' ELSE '0' END
        ) AS gender,
        COALESCE(
            known.name_education_type[a.name_education_type],
            CASE WHEN a.name_education_type IS NULL THEN '' ELSE '0' END
        ) AS education,
        COALESCE(
            known.name_family_status[a.name_family_status],
            CASE WHEN a.name_family_status IS NULL THEN '' ELSE '0' END
        ) AS family,
        COALESCE(
            known.name_housing_type[a.name_housing_type],
            CASE WHEN a.name_housing_type IS NULL THEN '' ELSE '0' END
        ) AS housing,
        COALESCE(
            known.occupation_type[a.occupation_type],
            CASE WHEN a.occupation_type IS NULL THEN '' ELSE '0' END
        ) AS occupation,
        COALESCE(a.region_rating_client::text, '') AS region,
        COALESCE(
            known.name_contract_type[a.name_contract_type],
            CASE WHEN a.name_contract_type IS NULL THEN '' ELSE '0' END
        ) AS contract
) AS own
WHERE a.model_id = (SELECT run.model_id FROM reporting.published_run AS run);

COMMENT ON VIEW reporting.former_customer IS
    'The former customers that the published run''s model was trained on, coded as in their file, with outcome '
    'and score. A category is empty if it was missing or is not in the dictionary.';
COMMENT ON COLUMN reporting.former_customer.customer_id IS 'Application number (SK_ID_CURR of the file).';
COMMENT ON COLUMN reporting.former_customer.target IS 'Outcome: 1 had payment difficulties, 0 repaid.';
COMMENT ON COLUMN reporting.former_customer.score IS
    'Score from 0 (worst) to 100 (best), by a model that never saw this customer.';
COMMENT ON COLUMN reporting.former_customer.default_probability IS
    'Probability from 0 to 1 of payment difficulties, by a model that never saw this customer.';
COMMENT ON COLUMN reporting.former_customer.name_contract_type IS
    'Whether the application is for a cash loan or for a revolving credit line; as written in the file.';
COMMENT ON COLUMN reporting.former_customer.code_gender IS 'Gender of the applicant; as written in the file.';
COMMENT ON COLUMN reporting.former_customer.flag_own_car IS
    'Whether the applicant owns a car; as written in the file.';
COMMENT ON COLUMN reporting.former_customer.flag_own_realty IS
    'Whether the applicant owns a house or an apartment; as written in the file.';
COMMENT ON COLUMN reporting.former_customer.cnt_children IS 'How many children the applicant has.';
COMMENT ON COLUMN reporting.former_customer.amt_income_total IS
    'Total income that the applicant declared; in €.';
COMMENT ON COLUMN reporting.former_customer.amt_credit IS
    'Sum of money that the applicant wishes to borrow; in €.';
COMMENT ON COLUMN reporting.former_customer.amt_annuity IS
    'Amount to pay back at each due date of the credit; in €.';
COMMENT ON COLUMN reporting.former_customer.amt_goods_price IS
    'Price of the goods that the credit would pay for; in €.';
COMMENT ON COLUMN reporting.former_customer.name_type_suite IS
    'Who came along with the applicant when the application was made; as written in the file.';
COMMENT ON COLUMN reporting.former_customer.name_income_type IS
    'Kind of situation that the applicant''s income comes from, such as work or a pension; as written in the file.';
COMMENT ON COLUMN reporting.former_customer.name_education_type IS
    'Highest level of education that the applicant has reached; as written in the file.';
COMMENT ON COLUMN reporting.former_customer.name_family_status IS
    'Family situation of the applicant, for example single or married; as written in the file.';
COMMENT ON COLUMN reporting.former_customer.name_housing_type IS
    'How the applicant is housed, for example in a rented apartment or with parents; as written in the file.';
COMMENT ON COLUMN reporting.former_customer.region_population_relative IS
    'How populated the applicant''s home region is, on a scale where a higher number means more people; 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.days_birth IS
    'Age of the applicant on the day of the application; in days before the application, so at most 0.';
COMMENT ON COLUMN reporting.former_customer.days_employed IS
    'How long the applicant has held the current job; in days before the application, so at most 0, 365243 stands '
    'for missing.';
COMMENT ON COLUMN reporting.former_customer.days_registration IS
    'How long ago the applicant''s official registration was last changed; in days before the application, so at '
    'most 0.';
COMMENT ON COLUMN reporting.former_customer.days_id_publish IS
    'How long ago the identity document used for the application was last changed; in days before the '
    'application, so at most 0.';
COMMENT ON COLUMN reporting.former_customer.own_car_age IS 'How old the applicant''s car is; in years.';
COMMENT ON COLUMN reporting.former_customer.flag_mobil IS
    'Whether the applicant gave a mobile phone number; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_emp_phone IS
    'Whether the application holds a phone number of an employer, which requires having one; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_work_phone IS
    'Whether the applicant gave a phone number at which to be reached at work; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_cont_mobile IS
    'Whether the applicant could be reached on the mobile phone number given; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_phone IS
    'Whether the applicant gave a home phone number; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_email IS
    'Whether the applicant gave an email address; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.occupation_type IS
    'Kind of work that the applicant does; as written in the file.';
COMMENT ON COLUMN reporting.former_customer.cnt_fam_members IS
    'How many people the applicant''s family counts, the applicant included.';
COMMENT ON COLUMN reporting.former_customer.region_rating_client IS
    'Rating from 1 to 3 that the lender gives to the region where the applicant lives.';
COMMENT ON COLUMN reporting.former_customer.region_rating_client_w_city IS
    'Rating from 1 to 3 that the lender gives to the region where the applicant lives, with the city considered; '
    '-1 stands for missing.';
COMMENT ON COLUMN reporting.former_customer.weekday_appr_process_start IS
    'Day of the week on which the application was made; as written in the file.';
COMMENT ON COLUMN reporting.former_customer.hour_appr_process_start IS
    'Hour of the day, roughly, at which the application was made; 0 to 23.';
COMMENT ON COLUMN reporting.former_customer.reg_region_not_live_region IS
    'Whether the applicant''s contact address lies in another region than the permanent address; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.reg_region_not_work_region IS
    'Whether the applicant''s work address lies in another region than the permanent address; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.live_region_not_work_region IS
    'Whether the applicant''s work address lies in another region than the contact address; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.reg_city_not_live_city IS
    'Whether the applicant''s contact address lies in another city than the permanent address; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.reg_city_not_work_city IS
    'Whether the applicant''s work address lies in another city than the permanent address; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.live_city_not_work_city IS
    'Whether the applicant''s work address lies in another city than the contact address; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.organization_type IS
    'Kind of organisation for which the applicant works; as written in the file.';
COMMENT ON COLUMN reporting.former_customer.ext_source_1 IS
    'Score from 0 to 1 received from a first data source outside the lender.';
COMMENT ON COLUMN reporting.former_customer.ext_source_2 IS
    'Score from 0 to 1 received from a second data source outside the lender.';
COMMENT ON COLUMN reporting.former_customer.ext_source_3 IS
    'Score from 0 to 1 received from a third data source outside the lender.';
COMMENT ON COLUMN reporting.former_customer.apartments_avg IS
    'Mean of the size of the apartments for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.basementarea_avg IS
    'Mean of the basement area for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.years_beginexpluatation_avg IS
    'Mean of the period of first use for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.years_build_avg IS
    'Mean of the period of construction for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.commonarea_avg IS
    'Mean of the area of the shared spaces for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.elevators_avg IS
    'Mean of the number of lifts for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.entrances_avg IS
    'Mean of the number of entrances for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.floorsmax_avg IS
    'Mean of the greatest number of floors for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.floorsmin_avg IS
    'Mean of the smallest number of floors for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.landarea_avg IS
    'Mean of the land area for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.livingapartments_avg IS
    'Mean of the size of the residential units for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.livingarea_avg IS
    'Mean of the living area for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.nonlivingapartments_avg IS
    'Mean of the size of the non-residential units for the building where the applicant lives, on a scale from 0 '
    'to 1.';
COMMENT ON COLUMN reporting.former_customer.nonlivingarea_avg IS
    'Mean of the area not used for living for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.apartments_mode IS
    'Most frequent value of the size of the apartments for the building where the applicant lives, on a scale '
    'from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.basementarea_mode IS
    'Most frequent value of the basement area for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.years_beginexpluatation_mode IS
    'Most frequent value of the period of first use for the building where the applicant lives, on a scale from 0 '
    'to 1.';
COMMENT ON COLUMN reporting.former_customer.years_build_mode IS
    'Most frequent value of the period of construction for the building where the applicant lives, on a scale '
    'from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.commonarea_mode IS
    'Most frequent value of the area of the shared spaces for the building where the applicant lives, on a scale '
    'from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.elevators_mode IS
    'Most frequent value of the number of lifts for the building where the applicant lives, on a scale from 0 to '
    '1.';
COMMENT ON COLUMN reporting.former_customer.entrances_mode IS
    'Most frequent value of the number of entrances for the building where the applicant lives, on a scale from 0 '
    'to 1.';
COMMENT ON COLUMN reporting.former_customer.floorsmax_mode IS
    'Most frequent value of the greatest number of floors for the building where the applicant lives, on a scale '
    'from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.floorsmin_mode IS
    'Most frequent value of the smallest number of floors for the building where the applicant lives, on a scale '
    'from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.landarea_mode IS
    'Most frequent value of the land area for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.livingapartments_mode IS
    'Most frequent value of the size of the residential units for the building where the applicant lives, on a '
    'scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.livingarea_mode IS
    'Most frequent value of the living area for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.nonlivingapartments_mode IS
    'Most frequent value of the size of the non-residential units for the building where the applicant lives, on '
    'a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.nonlivingarea_mode IS
    'Most frequent value of the area not used for living for the building where the applicant lives, on a scale '
    'from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.apartments_medi IS
    'Middle value of the size of the apartments for the building where the applicant lives, on a scale from 0 to '
    '1.';
COMMENT ON COLUMN reporting.former_customer.basementarea_medi IS
    'Middle value of the basement area for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.years_beginexpluatation_medi IS
    'Middle value of the period of first use for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.years_build_medi IS
    'Middle value of the period of construction for the building where the applicant lives, on a scale from 0 to '
    '1.';
COMMENT ON COLUMN reporting.former_customer.commonarea_medi IS
    'Middle value of the area of the shared spaces for the building where the applicant lives, on a scale from 0 '
    'to 1.';
COMMENT ON COLUMN reporting.former_customer.elevators_medi IS
    'Middle value of the number of lifts for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.entrances_medi IS
    'Middle value of the number of entrances for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.floorsmax_medi IS
    'Middle value of the greatest number of floors for the building where the applicant lives, on a scale from 0 '
    'to 1.';
COMMENT ON COLUMN reporting.former_customer.floorsmin_medi IS
    'Middle value of the smallest number of floors for the building where the applicant lives, on a scale from 0 '
    'to 1.';
COMMENT ON COLUMN reporting.former_customer.landarea_medi IS
    'Middle value of the land area for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.livingapartments_medi IS
    'Middle value of the size of the residential units for the building where the applicant lives, on a scale '
    'from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.livingarea_medi IS
    'Middle value of the living area for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.nonlivingapartments_medi IS
    'Middle value of the size of the non-residential units for the building where the applicant lives, on a scale '
    'from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.nonlivingarea_medi IS
    'Middle value of the area not used for living for the building where the applicant lives, on a scale from 0 '
    'to 1.';
COMMENT ON COLUMN reporting.former_customer.fondkapremont_mode IS
    'Kind of account that holds the money for major repairs of the building where the applicant lives; as written '
    'in the file.';
COMMENT ON COLUMN reporting.former_customer.housetype_mode IS
    'Kind of building where the applicant lives; as written in the file.';
COMMENT ON COLUMN reporting.former_customer.totalarea_mode IS
    'Most frequent value of the total area for the building where the applicant lives, on a scale from 0 to 1.';
COMMENT ON COLUMN reporting.former_customer.wallsmaterial_mode IS
    'What the walls of the building where the applicant lives are made of; as written in the file.';
COMMENT ON COLUMN reporting.former_customer.emergencystate_mode IS
    'Whether the building where the applicant lives is recorded as being in an unsafe state; as written in the '
    'file.';
COMMENT ON COLUMN reporting.former_customer.obs_30_cnt_social_circle IS
    'How many people around the applicant have a credit that could be watched for payments 30 days late.';
COMMENT ON COLUMN reporting.former_customer.def_30_cnt_social_circle IS
    'How many people around the applicant were at least 30 days late in paying a credit.';
COMMENT ON COLUMN reporting.former_customer.obs_60_cnt_social_circle IS
    'How many people around the applicant have a credit that could be watched for payments 60 days late.';
COMMENT ON COLUMN reporting.former_customer.def_60_cnt_social_circle IS
    'How many people around the applicant were at least 60 days late in paying a credit.';
COMMENT ON COLUMN reporting.former_customer.days_last_phone_change IS
    'How long ago the applicant last changed phone; in days before the application, so at most 0.';
COMMENT ON COLUMN reporting.former_customer.flag_document_2 IS
    'Whether the applicant handed in document 2 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_3 IS
    'Whether the applicant handed in document 3 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_4 IS
    'Whether the applicant handed in document 4 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_5 IS
    'Whether the applicant handed in document 5 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_6 IS
    'Whether the applicant handed in document 6 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_7 IS
    'Whether the applicant handed in document 7 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_8 IS
    'Whether the applicant handed in document 8 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_9 IS
    'Whether the applicant handed in document 9 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_10 IS
    'Whether the applicant handed in document 10 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_11 IS
    'Whether the applicant handed in document 11 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_12 IS
    'Whether the applicant handed in document 12 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_13 IS
    'Whether the applicant handed in document 13 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_14 IS
    'Whether the applicant handed in document 14 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_15 IS
    'Whether the applicant handed in document 15 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_16 IS
    'Whether the applicant handed in document 16 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_17 IS
    'Whether the applicant handed in document 17 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_18 IS
    'Whether the applicant handed in document 18 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_19 IS
    'Whether the applicant handed in document 19 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_20 IS
    'Whether the applicant handed in document 20 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.flag_document_21 IS
    'Whether the applicant handed in document 21 of the lender''s list; 1 yes, 0 no.';
COMMENT ON COLUMN reporting.former_customer.amt_req_credit_bureau_hour IS
    'How many times the credit bureau was asked about the applicant in the hour before the application.';
COMMENT ON COLUMN reporting.former_customer.amt_req_credit_bureau_day IS
    'How many times the credit bureau was asked about the applicant in the day before the application, without '
    'the last hour.';
COMMENT ON COLUMN reporting.former_customer.amt_req_credit_bureau_week IS
    'How many times the credit bureau was asked about the applicant in the week before the application, without '
    'the last day.';
COMMENT ON COLUMN reporting.former_customer.amt_req_credit_bureau_mon IS
    'How many times the credit bureau was asked about the applicant in the month before the application, without '
    'the last week.';
COMMENT ON COLUMN reporting.former_customer.amt_req_credit_bureau_qrt IS
    'How many times the credit bureau was asked about the applicant in the three months before the application, '
    'without the last month.';
COMMENT ON COLUMN reporting.former_customer.amt_req_credit_bureau_year IS
    'How many times the credit bureau was asked about the applicant in the year before the application, without '
    'the last three months.';
COMMENT ON COLUMN reporting.former_customer.default_percent IS 'The default probability in %.';
COMMENT ON COLUMN reporting.former_customer.band IS
    'Band of the score by the policy of the published run, A best, see score_band.';
COMMENT ON COLUMN reporting.former_customer.band_label_en IS
    'The band in English.';
COMMENT ON COLUMN reporting.former_customer.band_label_fr IS
    'The band in French.';
COMMENT ON COLUMN reporting.former_customer.decision IS
    'Decision that the policy of the published run would suggest: accept, review or decline.';
COMMENT ON COLUMN reporting.former_customer.decision_label_en IS
    'That decision in English.';
COMMENT ON COLUMN reporting.former_customer.decision_label_fr IS
    'That decision in French.';
COMMENT ON COLUMN reporting.former_customer.credit_range_en IS
    'Fifth of the former customers by credit amount, as cohorts are filtered by, in words in English.';
COMMENT ON COLUMN reporting.former_customer.credit_range_fr IS
    'Fifth of the former customers by credit amount, as cohorts are filtered by, in words in French.';
COMMENT ON COLUMN reporting.former_customer.age_range_en IS
    'Fifth of the former customers by age, as cohorts are filtered by, in words in English.';
COMMENT ON COLUMN reporting.former_customer.age_range_fr IS
    'Fifth of the former customers by age, as cohorts are filtered by, in words in French.';
COMMENT ON COLUMN reporting.former_customer.annuity_income_range_en IS
    'Fifth of the former customers by annuity as a share of income, as cohorts are filtered by, in words in English.';
COMMENT ON COLUMN reporting.former_customer.annuity_income_range_fr IS
    'Fifth of the former customers by annuity as a share of income, as cohorts are filtered by, in words in French.';
COMMENT ON COLUMN reporting.former_customer.gender_en IS
    'Gender, in words in English.';
COMMENT ON COLUMN reporting.former_customer.gender_fr IS
    'Gender, in words in French.';
COMMENT ON COLUMN reporting.former_customer.education_en IS
    'Highest level of education, in words in English.';
COMMENT ON COLUMN reporting.former_customer.education_fr IS
    'Highest level of education, in words in French.';
COMMENT ON COLUMN reporting.former_customer.family_status_en IS
    'Family situation, in words in English.';
COMMENT ON COLUMN reporting.former_customer.family_status_fr IS
    'Family situation, in words in French.';
COMMENT ON COLUMN reporting.former_customer.housing_en IS
    'How the customer is housed, in words in English.';
COMMENT ON COLUMN reporting.former_customer.housing_fr IS
    'How the customer is housed, in words in French.';
COMMENT ON COLUMN reporting.former_customer.occupation_en IS
    'Occupation, in words in English.';
COMMENT ON COLUMN reporting.former_customer.occupation_fr IS
    'Occupation, in words in French.';
COMMENT ON COLUMN reporting.former_customer.region_en IS
    'Rating of the home region, in words in English.';
COMMENT ON COLUMN reporting.former_customer.region_fr IS
    'Rating of the home region, in words in French.';
COMMENT ON COLUMN reporting.former_customer.contract_type_en IS
    'Kind of credit, in words in English.';
COMMENT ON COLUMN reporting.former_customer.contract_type_fr IS
    'Kind of credit, in words in French.';
