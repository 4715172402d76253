CREATE VIEW reporting.what_if_summary AS
SELECT
    s.customer_id,
    found.outcome,
    found.outcome IN ('found', 'accepted') AS feasible,
    CASE found.outcome
        WHEN 'found' THEN 'A yes from ' || reporting.format_number_en(w.amount, digits.decimals)
            || ' at ' || w.duration || CASE w.duration WHEN 1 THEN ' month' ELSE ' months' END
        WHEN 'none' THEN 'No amount and duration within the limits gets a yes'
        WHEN 'accepted' THEN 'A yes as it is'
        WHEN 'revolving' THEN 'Not searched: a revolving credit has no duration'
        WHEN 'no_annuity' THEN 'Not searched: the application has no annuity'
        ELSE 'Not searched: no instalment credit has this amount and this annuity'
    END AS text_en,
    CASE found.outcome
        WHEN 'found' THEN 'Un oui à partir de ' || reporting.format_number_fr(w.amount, digits.decimals)
            || ' sur ' || w.duration || ' mois'
        WHEN 'none' THEN 'Aucun montant ni aucune durée dans les limites n''obtient un oui'
        WHEN 'accepted' THEN 'Un oui en l''état'
        WHEN 'revolving' THEN 'Pas de recherche : un crédit renouvelable n''a pas de durée'
        WHEN 'no_annuity' THEN 'Pas de recherche : la demande n''a pas de mensualité'
        ELSE 'Pas de recherche : aucun crédit amortissable n''a ce montant et cette mensualité'
    END AS text_fr,
    w.duration,
    w.amount,
    w.annuity,
    w.default_probability,
    100 * w.default_probability AS default_percent,
    w.score,
    w.asked_duration,
    w.monthly_rate * 100 AS monthly_rate,
    s.run_id
FROM credit.score AS s
LEFT JOIN credit.what_if_summary AS w ON w.run_id = s.run_id AND w.customer_id = s.customer_id
CROSS JOIN LATERAL (SELECT CASE s.decision WHEN 'accept' THEN 'accepted' ELSE w.outcome END AS outcome) AS found
CROSS JOIN LATERAL (SELECT CASE WHEN w.amount = trunc(w.amount) THEN 0 ELSE 2 END AS decimals) AS digits
WHERE s.run_id = (SELECT p.run_id FROM credit.published_run AS p) AND found.outcome IS NOT NULL;

COMMENT ON VIEW reporting.what_if_summary IS
    'What would get a yes, in a sentence: a line for every applicant of the published run, with the accepted offer that '
    'changes least. No lines of those whom a run of before version 0.4 did not accept.';
COMMENT ON COLUMN reporting.what_if_summary.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.what_if_summary.outcome IS
    'found; none: it is proved that no offer within the policy''s limits is accepted; accepted: as asked for; and, '
    'where nothing was searched: revolving, no_annuity, no_duration.';
COMMENT ON COLUMN reporting.what_if_summary.feasible IS
    'Whether something gets a yes; false also where nothing was searched, see outcome.';
COMMENT ON COLUMN reporting.what_if_summary.text_en IS 'The outcome as a sentence in English.';
COMMENT ON COLUMN reporting.what_if_summary.text_fr IS 'The outcome as a sentence in French.';
COMMENT ON COLUMN reporting.what_if_summary.duration IS
    'Months of the accepted offer that changes least; empty, as the rest of the offer, where none was found.';
COMMENT ON COLUMN reporting.what_if_summary.amount IS 'Amount of that offer in €, as AMT_CREDIT of the application file.';
COMMENT ON COLUMN reporting.what_if_summary.annuity IS 'Annuity of that offer in €, as AMT_ANNUITY of the application file.';
COMMENT ON COLUMN reporting.what_if_summary.default_probability IS
    'Probability from 0 to 1 that the applicant will have payment difficulties, with that offer.';
COMMENT ON COLUMN reporting.what_if_summary.default_percent IS 'The same in %.';
COMMENT ON COLUMN reporting.what_if_summary.score IS 'Score with that offer, from 0 (worst) to 100 (best).';
COMMENT ON COLUMN reporting.what_if_summary.asked_duration IS
    'Months that the application implies, see scoring/README.md; empty where nothing was searched.';
COMMENT ON COLUMN reporting.what_if_summary.monthly_rate IS
    'Interest that the application implies, in % a month; empty where nothing was searched.';
COMMENT ON COLUMN reporting.what_if_summary.run_id IS 'Run that the row is from, see run_history.';
