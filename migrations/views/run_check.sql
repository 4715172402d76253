-- Checks have names for programs; here are the words for people. A check that is not in the list keeps its name.
CREATE VIEW reporting.run_check AS
SELECT
    c.run_id,
    c.name,
    c.severity,
    c.observed,
    c.expected,
    c.passed,
    COALESCE(word.check_en, c.name) AS check_en,
    COALESCE(word.check_fr, c.name) AS check_fr,
    CASE c.severity WHEN 'fail' THEN 'stops the publication' ELSE 'a warning' END AS severity_en,
    CASE c.severity WHEN 'fail' THEN 'empêche la publication' ELSE 'un avertissement' END AS severity_fr,
    CASE WHEN c.passed THEN '✔ passed' ELSE '✖ not passed' END AS result_en,
    CASE WHEN c.passed THEN '✔ réussi' ELSE '✖ non réussi' END AS result_fr,
    r.as_of,
    newest.runs_ago::integer AS runs_ago,
    c.observed AS observed_en,
    reporting.check_value_fr(c.observed) AS observed_fr,
    c.expected AS expected_en,
    reporting.check_value_fr(c.expected) AS expected_fr
FROM credit.run_check AS c
JOIN credit.scoring_run AS r ON r.run_id = c.run_id
JOIN (
    SELECT checked.run_id, row_number() OVER (ORDER BY checked.run_id DESC) AS runs_ago
    FROM (SELECT DISTINCT o.run_id FROM credit.run_check AS o) AS checked
) AS newest ON newest.run_id = c.run_id
LEFT JOIN (
    VALUES
        ('applications_loaded', 'Applications loaded', 'Demandes chargées'),
        ('applications_scored', 'Applications with a score', 'Demandes avec un score'),
        ('scores_loaded', 'Scores loaded', 'Scores chargés'),
        ('customers_explained', 'Customers with an explanation', 'Clients avec une explication'),
        ('explanations_incomplete', 'Customers without all features', 'Clients sans tous les éléments'),
        ('scores_not_finite', 'Scores that are no number', 'Scores qui ne sont pas un nombre'),
        ('scores_out_of_range', 'Scores outside 0 to 100', 'Scores hors de 0 à 100'),
        (
            'scores_not_of_their_probability',
            'Scores that do not follow from the probability',
            'Scores qui ne découlent pas de la probabilité'
        ),
        ('contributions_not_finite', 'Contributions that are no number', 'Contributions qui ne sont pas un nombre'),
        (
            'additivity_error',
            'Largest gap between base value plus contributions and the log-odds',
            'Plus grand écart entre valeur de base plus contributions et log-odds'
        ),
        (
            'probability_error',
            'Largest gap between a probability and its log-odds',
            'Plus grand écart entre une probabilité et ses log-odds'
        ),
        (
            'engine_error',
            'Largest gap to the reference engine, on a sample',
            'Plus grand écart au moteur de référence, sur un échantillon'
        ),
        (
            'customers_of_earlier_nights',
            'Customers beside those of earlier nights',
            'Clients au regard des nuits précédentes'
        ),
        (
            'not_accepted_with_reasons',
            'Customers who are not accepted and have reasons',
            'Clients non acceptés qui ont des motifs'
        ),
        (
            'reasons_of_others',
            'Reasons of customers who are accepted',
            'Motifs de clients acceptés'
        ),
        (
            'reasons_of_nothing_kept',
            'Reasons that rest on nothing that is kept',
            'Motifs qui ne reposent sur rien de conservé'
        ),
        (
            'stronger_reasons_left_out',
            'Stronger reasons that were left out',
            'Motifs plus forts laissés de côté'
        ),
        (
            'reason_error',
            'Largest gap between a reason and what it is worked out from',
            'Plus grand écart entre un motif et ce dont il découle'
        ),
        (
            'no_reason_to_tell_share',
            'Share of those not accepted without a reason to tell',
            'Part des non acceptés sans motif à dire'
        ),
        (
            'what_if_not_accepted',
            'Customers who are not accepted and for whom offers were tried',
            'Clients non acceptés pour qui des offres ont été essayées'
        ),
        (
            'what_if_of_others',
            'Offers for customers who are accepted',
            'Offres pour des clients acceptés'
        ),
        (
            'what_if_outcomes_not_of_their_offers',
            'Outcomes that do not follow from the offers',
            'Résultats qui ne découlent pas des offres'
        ),
        (
            'what_if_frontier_misplaced',
            'Offers wrongly called the largest accepted',
            'Offres dites à tort les plus grandes acceptées'
        ),
        (
            'what_if_nearest_unknown',
            'Nearest offers that are not among the offers',
            'Offres les plus proches absentes des offres'
        ),
        (
            'what_if_decisions_not_of_the_policy',
            'Offers decided otherwise than the policy says',
            'Offres décidées autrement que ne le dit la politique'
        ),
        (
            'what_if_scores_not_of_their_probability',
            'Scores of offers that do not follow from the probability',
            'Scores d''offres qui ne découlent pas de la probabilité'
        ),
        (
            'what_if_asked_error',
            'Largest gap between what was asked for and the night''s score',
            'Plus grand écart entre ce qui est demandé et le score de la nuit'
        ),
        (
            'similar_customers_told',
            'Customers who are told of similar ones',
            'Clients à qui sont comparés des semblables'
        ),
        (
            'similar_groups_of_wrong_size',
            'Groups of similar customers of a wrong size',
            'Groupes de clients semblables de mauvaise taille'
        ),
        (
            'similar_rates_out_of_interval',
            'Rates of similar customers outside their interval',
            'Taux de clients semblables hors de leur intervalle'
        ),
        (
            'similar_lists_of_wrong_size',
            'Lists of similar customers that are not of as many as are counted',
            'Listes de clients semblables d''une autre taille que leur compte'
        ),
        (
            'similar_error',
            'Largest gap of a rate of similar customers to its counts',
            'Plus grand écart d''un taux de clients semblables à ses effectifs'
        ),
        (
            'similar_found_otherwise',
            'Groups that comparing with everybody finds otherwise',
            'Groupes que la comparaison avec tous trouve autrement'
        ),
        ('empty_columns', 'Columns without any value', 'Colonnes sans aucune valeur'),
        ('date_ahead', 'Date of the scores', 'Date des scores')
) AS word (name, check_en, check_fr) ON word.name = c.name;

COMMENT ON VIEW reporting.run_check IS 'What was checked of each run before it was published, and what was seen.';
COMMENT ON COLUMN reporting.run_check.run_id IS 'The run, see run_history.';
COMMENT ON COLUMN reporting.run_check.name IS 'What was checked.';
COMMENT ON COLUMN reporting.run_check.severity IS
    'fail: the run is not published unless the check passes; warn: it is published all the same.';
COMMENT ON COLUMN reporting.run_check.observed IS 'What was seen, for programs.';
COMMENT ON COLUMN reporting.run_check.expected IS 'What should have been seen, for programs.';
COMMENT ON COLUMN reporting.run_check.passed IS 'Whether the two agree.';
COMMENT ON COLUMN reporting.run_check.check_en IS 'What was checked, in words in English.';
COMMENT ON COLUMN reporting.run_check.check_fr IS 'What was checked, in words in French.';
COMMENT ON COLUMN reporting.run_check.severity_en IS 'What a check that does not pass does, in English.';
COMMENT ON COLUMN reporting.run_check.severity_fr IS 'What a check that does not pass does, in French.';
COMMENT ON COLUMN reporting.run_check.result_en IS 'Whether it passed, in English, with a sign.';
COMMENT ON COLUMN reporting.run_check.result_fr IS 'Whether it passed, in French, with a sign.';
COMMENT ON COLUMN reporting.run_check.as_of IS 'Date that the scores of the run are of.';
COMMENT ON COLUMN reporting.run_check.runs_ago IS 'Place of the run among those that were checked, 1 is the newest.';
COMMENT ON COLUMN reporting.run_check.observed_en IS 'What was seen, in English.';
COMMENT ON COLUMN reporting.run_check.expected_en IS 'What should have been seen, in English.';
COMMENT ON COLUMN reporting.run_check.observed_fr IS 'What was seen, in French.';
COMMENT ON COLUMN reporting.run_check.expected_fr IS 'What should have been seen, in French.';
