-- An applicant of whom nothing is known has a row that says so.
CREATE VIEW reporting.similar_customers AS
SELECT
    s.customer_id,
    c.neighbours::integer AS neighbours,
    c.defaulted::integer AS defaulted,
    c.default_rate,
    c.low,
    c.high,
    s.default_probability AS model_probability,
    COALESCE(
        'Of the ' || c.neighbours || ' former customers most like this one, ' || c.defaulted || ' ('
        || reporting.format_number_en(100 * c.default_rate, 1) || '%, '
        || reporting.format_number_en(100 * c.low, 1) || ' to ' || reporting.format_number_en(100 * c.high, 1)
        || ') had payment difficulties; the model says '
        || reporting.format_number_en(100 * s.default_probability, 1) || '%.',
        'This run does not say what became of similar former customers. The next one does, if its model keeps what '
        'that takes; a newly trained model does.'
    ) AS text_en,
    COALESCE(
        'Parmi les ' || c.neighbours || ' anciens clients qui ressemblent le plus à celui-ci, ' || c.defaulted || ' ('
        || reporting.format_number_fr(100 * c.default_rate, 1) || U&'\202F%, de '
        || reporting.format_number_fr(100 * c.low, 1) || ' à ' || reporting.format_number_fr(100 * c.high, 1)
        || CASE WHEN c.defaulted > 1 THEN ') ont' ELSE ') a' END || ' eu des difficultés de paiement ; le modèle dit '
        || reporting.format_number_fr(100 * s.default_probability, 1) || U&'\202F%.',
        'Cette exécution ne dit pas ce que sont devenus les anciens clients semblables. La prochaine le dira, si son '
        'modèle garde ce qu''il faut ; un modèle nouvellement entraîné le garde.'
    ) AS text_fr,
    c.distance,
    c.age_low AS age_years_low,
    c.age_high AS age_years_high,
    c.income_low,
    c.income_high,
    c.amount_low AS credit_amount_low,
    c.amount_high AS credit_amount_high,
    100 * c.annuity_income_low AS annuity_income_share_low,
    100 * c.annuity_income_high AS annuity_income_share_high,
    s.run_id,
    100 * s.default_probability AS model_percent
FROM credit.score AS s
LEFT JOIN credit.similar_customer AS c ON c.run_id = s.run_id AND c.customer_id = s.customer_id
WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p);

COMMENT ON VIEW reporting.similar_customers IS
    'What became of the former customers who are most like each applicant of the published run: counts and quartiles of '
    'a group of at least 20 people, never who they are. Like means that the same features move the log-odds alike.';
COMMENT ON COLUMN reporting.similar_customers.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.similar_customers.neighbours IS
    'How many former customers the applicant is compared with; empty where nothing is told.';
COMMENT ON COLUMN reporting.similar_customers.defaulted IS 'How many of them had payment difficulties.';
COMMENT ON COLUMN reporting.similar_customers.default_rate IS 'Rate of payment difficulties among them, 0 to 1.';
COMMENT ON COLUMN reporting.similar_customers.low IS
    'Lower end of the 95 % interval (Wilson) of that rate, 0 to 1. It is the interval of people like the applicant, not of '
    'the applicant alone.';
COMMENT ON COLUMN reporting.similar_customers.high IS 'Upper end of that interval, 0 to 1.';
COMMENT ON COLUMN reporting.similar_customers.model_probability IS
    'What the model says of the applicant: probability of payment difficulties, 0 to 1.';
COMMENT ON COLUMN reporting.similar_customers.text_en IS 'The same as a sentence in English.';
COMMENT ON COLUMN reporting.similar_customers.text_fr IS 'The same as a sentence in French.';
COMMENT ON COLUMN reporting.similar_customers.distance IS
    'How far the farthest of them is, in log-odds: the differences of all contributions, added up.';
COMMENT ON COLUMN reporting.similar_customers.age_years_low IS
    'First quartile of their age in years; a quarter of them are younger.';
COMMENT ON COLUMN reporting.similar_customers.age_years_high IS
    'Third quartile of their age in years; a quarter of them are older.';
COMMENT ON COLUMN reporting.similar_customers.income_low IS 'First quartile of their yearly income in €.';
COMMENT ON COLUMN reporting.similar_customers.income_high IS 'Third quartile of their yearly income in €.';
COMMENT ON COLUMN reporting.similar_customers.credit_amount_low IS 'First quartile of the amount of their credit in €.';
COMMENT ON COLUMN reporting.similar_customers.credit_amount_high IS 'Third quartile of the amount of their credit in €.';
COMMENT ON COLUMN reporting.similar_customers.annuity_income_share_low IS
    'First quartile of their annuity as a share of the income in %.';
COMMENT ON COLUMN reporting.similar_customers.annuity_income_share_high IS
    'Third quartile of their annuity as a share of the income in %.';
COMMENT ON COLUMN reporting.similar_customers.run_id IS 'Run that the row is from, see run_history.';
COMMENT ON COLUMN reporting.similar_customers.model_percent IS 'The same as model_probability, in %.';
