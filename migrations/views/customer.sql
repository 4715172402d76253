CREATE VIEW reporting.customer AS
SELECT
    s.customer_id,
    s.score,
    s.default_probability,
    s.log_odds,
    s.decision,
    s.band,
    b.label_en AS band_label_en,
    b.label_fr AS band_label_fr,
    d.label_en AS decision_label_en,
    d.label_fr AS decision_label_fr,
    s.percentile,
    run.run_id,
    run.as_of,
    run.base_score,
    100 * (1 - s.default_probability) AS score_exact,
    earlier.score AS previous_score,
    s.score - earlier.score AS score_change,
    reporting.category_en(a.code_gender, label.gender_en[a.code_gender]) AS gender_en,
    reporting.category_fr(a.code_gender, label.gender_fr[a.code_gender]) AS gender_fr,
    round(a.days_birth / -365.25, 1)::double precision AS age_years,
    -- 365243 is how the files say that there is no job to count the days of.
    round(NULLIF(a.days_employed, 365243) / -365.25, 1)::double precision AS employed_years,
    a.amt_income_total AS income,
    a.amt_credit AS credit_amount,
    a.amt_annuity AS annuity,
    a.amt_goods_price AS goods_price,
    round((100 * a.amt_annuity / NULLIF(a.amt_income_total, 0))::numeric, 1)::double precision
        AS annuity_income_share,
    round((a.amt_credit / NULLIF(a.amt_annuity, 0))::numeric, 1)::double precision AS credit_term,
    reporting.category_en(a.name_contract_type, label.contract_type_en[a.name_contract_type]) AS contract_type_en,
    reporting.category_fr(a.name_contract_type, label.contract_type_fr[a.name_contract_type]) AS contract_type_fr,
    reporting.category_en(a.name_education_type, label.education_en[a.name_education_type]) AS education_en,
    reporting.category_fr(a.name_education_type, label.education_fr[a.name_education_type]) AS education_fr,
    reporting.category_en(a.name_family_status, label.family_status_en[a.name_family_status]) AS family_status_en,
    reporting.category_fr(a.name_family_status, label.family_status_fr[a.name_family_status]) AS family_status_fr,
    reporting.category_en(a.name_housing_type, label.housing_en[a.name_housing_type]) AS housing_en,
    reporting.category_fr(a.name_housing_type, label.housing_fr[a.name_housing_type]) AS housing_fr,
    reporting.category_en(a.occupation_type, label.occupation_en[a.occupation_type]) AS occupation_en,
    reporting.category_fr(a.occupation_type, label.occupation_fr[a.occupation_type]) AS occupation_fr,
    a.cnt_children AS children,
    a.cnt_fam_members AS family_members,
    known.flag_own_car[a.flag_own_car] = 'Y' AS owns_car,
    known.flag_own_realty[a.flag_own_realty] = 'Y' AS owns_home,
    a.region_rating_client AS region_rating,
    a.ext_source_1 AS external_score_1,
    a.ext_source_2 AS external_score_2,
    a.ext_source_3 AS external_score_3,
    100 * s.default_probability AS default_percent,
    run.policy_id
FROM credit.score AS s
JOIN credit.new_customer AS a ON a.run_id = s.run_id AND a.customer_id = s.customer_id
CROSS JOIN reporting.published_run AS run
CROSS JOIN reporting.category_list AS known
CROSS JOIN (
    -- Lists in code order as in category_list.
    SELECT
        array_agg(k.label_en ORDER BY k.code) FILTER (WHERE f.name = 'CODE_GENDER') AS gender_en,
        array_agg(k.label_fr ORDER BY k.code) FILTER (WHERE f.name = 'CODE_GENDER') AS gender_fr,
        array_agg(k.label_en ORDER BY k.code) FILTER (WHERE f.name = 'NAME_CONTRACT_TYPE') AS contract_type_en,
        array_agg(k.label_fr ORDER BY k.code) FILTER (WHERE f.name = 'NAME_CONTRACT_TYPE') AS contract_type_fr,
        array_agg(k.label_en ORDER BY k.code) FILTER (WHERE f.name = 'NAME_EDUCATION_TYPE') AS education_en,
        array_agg(k.label_fr ORDER BY k.code) FILTER (WHERE f.name = 'NAME_EDUCATION_TYPE') AS education_fr,
        array_agg(k.label_en ORDER BY k.code) FILTER (WHERE f.name = 'NAME_FAMILY_STATUS') AS family_status_en,
        array_agg(k.label_fr ORDER BY k.code) FILTER (WHERE f.name = 'NAME_FAMILY_STATUS') AS family_status_fr,
        array_agg(k.label_en ORDER BY k.code) FILTER (WHERE f.name = 'NAME_HOUSING_TYPE') AS housing_en,
        array_agg(k.label_fr ORDER BY k.code) FILTER (WHERE f.name = 'NAME_HOUSING_TYPE') AS housing_fr,
        array_agg(k.label_en ORDER BY k.code) FILTER (WHERE f.name = 'OCCUPATION_TYPE') AS occupation_en,
        array_agg(k.label_fr ORDER BY k.code) FILTER (WHERE f.name = 'OCCUPATION_TYPE') AS occupation_fr
    FROM credit.feature_category AS k
    JOIN credit.feature AS f ON f.feature_id = k.feature_id
    WHERE f.kind = 'category'
) AS label
LEFT JOIN credit.score_band AS b ON b.policy_id = run.policy_id AND b.band = s.band
LEFT JOIN credit.suggested_decision AS d ON d.decision = s.decision
LEFT JOIN credit.score AS earlier
    ON earlier.run_id = (SELECT p.previous_run_id FROM reporting.published_run AS p)
    AND earlier.customer_id = s.customer_id
-- A scalar subquery, not a join: Postgres then prunes the other runs' partitions when the query runs.
WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p);

COMMENT ON VIEW reporting.customer IS
    'One row per applicant of the published run: score, decision and the facts an advisor asks for first.';
COMMENT ON COLUMN reporting.customer.customer_id IS 'Application number (SK_ID_CURR of the file).';
COMMENT ON COLUMN reporting.customer.score IS
    'Score from 0 (worst) to 100 (best): 100 x (1 - default probability), rounded.';
COMMENT ON COLUMN reporting.customer.default_probability IS
    'Probability from 0 to 1 that the applicant will have payment difficulties, as the model sees it.';
COMMENT ON COLUMN reporting.customer.log_odds IS
    'Log-odds of default, ln(p / (1 - p)): the scale on which contributions add up.';
COMMENT ON COLUMN reporting.customer.decision IS 'Suggested decision: accept, review or decline.';
COMMENT ON COLUMN reporting.customer.band IS 'Band of the score, A best, see score_band.';
COMMENT ON COLUMN reporting.customer.band_label_en IS 'The band in English.';
COMMENT ON COLUMN reporting.customer.band_label_fr IS 'The band in French.';
COMMENT ON COLUMN reporting.customer.decision_label_en IS 'The suggested decision in English.';
COMMENT ON COLUMN reporting.customer.decision_label_fr IS 'The suggested decision in French.';
COMMENT ON COLUMN reporting.customer.percentile IS
    'Share of former customers, in %, whose score is lower than or equal to this one; 100 is best.';
COMMENT ON COLUMN reporting.customer.run_id IS 'Run that the row is from, see run_history.';
COMMENT ON COLUMN reporting.customer.as_of IS 'Date that the score is of.';
COMMENT ON COLUMN reporting.customer.base_score IS
    'Starting point: the score, before rounding, at the mean log-odds of the training data (base value), where the '
    'model is before it looks at a customer; 0 to 100. It is not the mean score of former customers. Base score '
    '+ points = exact score.';
COMMENT ON COLUMN reporting.customer.score_exact IS 'Score before rounding, 0 to 100.';
COMMENT ON COLUMN reporting.customer.previous_score IS
    'Score on the last date before this one; empty if the customer was not scored then.';
COMMENT ON COLUMN reporting.customer.score_change IS 'Score less previous score, in points; positive is better.';
COMMENT ON COLUMN reporting.customer.gender_en IS 'Gender in English.';
COMMENT ON COLUMN reporting.customer.gender_fr IS 'Gender in French.';
COMMENT ON COLUMN reporting.customer.age_years IS 'Age on the day of the application, in years.';
COMMENT ON COLUMN reporting.customer.employed_years IS 'Time in the current job, in years; empty without a job.';
COMMENT ON COLUMN reporting.customer.income IS 'Total income that the applicant declared, in €.';
COMMENT ON COLUMN reporting.customer.credit_amount IS 'Sum that the applicant wishes to borrow, in €.';
COMMENT ON COLUMN reporting.customer.annuity IS 'Amount to pay back at each due date, in €.';
COMMENT ON COLUMN reporting.customer.goods_price IS 'Price of the goods that the credit would pay for, in €.';
COMMENT ON COLUMN reporting.customer.annuity_income_share IS 'Annuity as a share of the income, in %.';
COMMENT ON COLUMN reporting.customer.credit_term IS
    'How many annuities it takes to add up to the credit amount, interest aside.';
COMMENT ON COLUMN reporting.customer.contract_type_en IS 'Type of credit in English.';
COMMENT ON COLUMN reporting.customer.contract_type_fr IS 'Type of credit in French.';
COMMENT ON COLUMN reporting.customer.education_en IS 'Highest level of education in English.';
COMMENT ON COLUMN reporting.customer.education_fr IS 'Highest level of education in French.';
COMMENT ON COLUMN reporting.customer.family_status_en IS 'Family status in English.';
COMMENT ON COLUMN reporting.customer.family_status_fr IS 'Family status in French.';
COMMENT ON COLUMN reporting.customer.housing_en IS 'Housing situation in English.';
COMMENT ON COLUMN reporting.customer.housing_fr IS 'Housing situation in French.';
COMMENT ON COLUMN reporting.customer.occupation_en IS 'Occupation in English.';
COMMENT ON COLUMN reporting.customer.occupation_fr IS 'Occupation in French.';
COMMENT ON COLUMN reporting.customer.children IS 'Number of children.';
COMMENT ON COLUMN reporting.customer.family_members IS 'How many people the family counts, the applicant included.';
COMMENT ON COLUMN reporting.customer.owns_car IS 'Whether the applicant owns a car; empty if not known.';
COMMENT ON COLUMN reporting.customer.owns_home IS
    'Whether the applicant owns a house or an apartment; empty if not known.';
COMMENT ON COLUMN reporting.customer.region_rating IS 'Rating of the home region by the lender, 1 to 3.';
COMMENT ON COLUMN reporting.customer.external_score_1 IS
    'Score from a first outside source, 0 to 1; empty if there is none.';
COMMENT ON COLUMN reporting.customer.external_score_2 IS
    'Score from a second outside source, 0 to 1; empty if there is none.';
COMMENT ON COLUMN reporting.customer.external_score_3 IS
    'Score from a third outside source, 0 to 1; empty if there is none.';
COMMENT ON COLUMN reporting.customer.default_percent IS 'The default probability in %.';
COMMENT ON COLUMN reporting.customer.policy_id IS 'Policy that the score was decided by, see policy.';
