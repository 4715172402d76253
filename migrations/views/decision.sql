-- A person's decision beside what was suggested; kept beyond the details of the run.
CREATE VIEW reporting.decision AS
SELECT
    d.decision_id,
    d.customer_id,
    d.run_id,
    run.as_of,
    d.decision,
    reporting.human_decision_en(d.decision) AS decision_label_en,
    reporting.human_decision_fr(d.decision) AS decision_label_fr,
    d.amount,
    d.duration,
    d.recommendation,
    s.label_en AS recommendation_label_en,
    s.label_fr AS recommendation_label_fr,
    followed.yes AS follows,
    CASE followed.yes WHEN 1 THEN '= as suggested' WHEN 0 THEN '≠ otherwise' ELSE '? suggested to review' END
        AS follows_en,
    CASE followed.yes WHEN 1 THEN '= comme proposé' WHEN 0 THEN '≠ autrement' ELSE '? étude proposée' END
        AS follows_fr,
    d.reason_code,
    g.label_en AS reason_en,
    g.label_fr AS reason_fr,
    d.note,
    d.score,
    d.default_probability,
    d.band,
    d.reasons,
    d.catalogue_id,
    d.model_id,
    d.policy_id,
    d.decided_by,
    d.decided_at,
    extract(epoch FROM d.decided_at - run.published_at)::double precision / 3600 AS hours_to_decide,
    d.supersedes,
    COALESCE((d.decision = 'refuse') <> (before.decision = 'refuse'), false)::integer AS is_reversal,
    NOT EXISTS (SELECT FROM credit.decision AS later WHERE later.supersedes = d.decision_id) AS is_current,
    c.review_id,
    100 * d.default_probability AS default_percent,
    d.annuity,
    CASE WHEN d.decision = 'accept_other_terms' THEN (d.annuity IS NOT NULL)::integer END AS is_offer
FROM credit.decision AS d
JOIN credit.scoring_run AS run ON run.run_id = d.run_id
JOIN credit.decision_ground AS g ON g.code = d.reason_code
LEFT JOIN credit.suggested_decision AS s ON s.decision = d.recommendation
LEFT JOIN credit.decision AS before ON before.decision_id = d.supersedes
LEFT JOIN credit.review_conclusion AS c ON c.decision_id = d.decision_id
CROSS JOIN LATERAL (
    SELECT
        CASE d.recommendation
            WHEN 'accept' THEN (d.decision = 'accept')::integer
            WHEN 'decline' THEN (d.decision = 'refuse')::integer
        END AS yes
) AS followed;

COMMENT ON VIEW reporting.decision IS
    'What people decided, one row each, with what was on their screen; a correction is a row that supersedes another.';
COMMENT ON COLUMN reporting.decision.decision_id IS 'Number of the decision; later ones are higher.';
COMMENT ON COLUMN reporting.decision.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.decision.run_id IS 'Run that was on the screen, see run_history.';
COMMENT ON COLUMN reporting.decision.as_of IS 'Date that the score of that run is of.';
COMMENT ON COLUMN reporting.decision.decision IS 'What was decided: accept, refuse or accept_other_terms.';
COMMENT ON COLUMN reporting.decision.decision_label_en IS 'What was decided, in English.';
COMMENT ON COLUMN reporting.decision.decision_label_fr IS 'What was decided, in French.';
COMMENT ON COLUMN reporting.decision.amount IS
    'Amount of the other terms in €; empty for other decisions.';
COMMENT ON COLUMN reporting.decision.duration IS 'Duration of the other terms, in months; empty for other decisions.';
COMMENT ON COLUMN reporting.decision.recommendation IS 'What was suggested: accept, review or decline.';
COMMENT ON COLUMN reporting.decision.recommendation_label_en IS 'What was suggested, in English.';
COMMENT ON COLUMN reporting.decision.recommendation_label_fr IS 'What was suggested, in French.';
COMMENT ON COLUMN reporting.decision.follows IS
    '1 if the decision is the suggested one, 0 if not, empty where it was suggested to review the file.';
COMMENT ON COLUMN reporting.decision.follows_en IS 'The same in English.';
COMMENT ON COLUMN reporting.decision.follows_fr IS 'The same in French.';
COMMENT ON COLUMN reporting.decision.reason_code IS 'Code of the ground that was given.';
COMMENT ON COLUMN reporting.decision.reason_en IS 'The ground in English.';
COMMENT ON COLUMN reporting.decision.reason_fr IS 'The ground in French.';
COMMENT ON COLUMN reporting.decision.note IS 'What the person wrote beside it, as written.';
COMMENT ON COLUMN reporting.decision.score IS 'Score from 0 (worst) to 100 (best) that was on the screen.';
COMMENT ON COLUMN reporting.decision.default_probability IS
    'Probability of payment difficulties, 0 to 1, that was on the screen.';
COMMENT ON COLUMN reporting.decision.default_percent IS 'The same in %.';
COMMENT ON COLUMN reporting.decision.band IS 'Band of that score.';
COMMENT ON COLUMN reporting.decision.reasons IS
    'Codes of the reasons that were on the screen, the strongest first, see decision_reason; none for an accepted file.';
COMMENT ON COLUMN reporting.decision.catalogue_id IS 'Version of the catalogue that the codes are of.';
COMMENT ON COLUMN reporting.decision.model_id IS 'Model of that run.';
COMMENT ON COLUMN reporting.decision.policy_id IS 'Policy of that run, see policy.';
COMMENT ON COLUMN reporting.decision.decided_by IS 'User name of who decided.';
COMMENT ON COLUMN reporting.decision.decided_at IS 'When.';
COMMENT ON COLUMN reporting.decision.hours_to_decide IS 'Hours from the publication of the run to the decision.';
COMMENT ON COLUMN reporting.decision.supersedes IS 'Decision that this one takes the place of; empty for a first one.';
COMMENT ON COLUMN reporting.decision.is_reversal IS
    '1 if it turns a refusal into an acceptance or the other way round, else 0.';
COMMENT ON COLUMN reporting.decision.is_current IS 'Whether no later decision supersedes it.';
COMMENT ON COLUMN reporting.decision.review_id IS 'Review that ended with it; empty for others.';
COMMENT ON COLUMN reporting.decision.annuity IS
    'Annuity in € of other terms that are an offer of the what-if, see what_if; empty where a person made up the terms.';
COMMENT ON COLUMN reporting.decision.is_offer IS
    '1 if the other terms are an offer of the what-if that was on the screen, 0 if a person made them up, empty for other '
    'decisions.';
