CREATE VIEW reporting.customer_card AS
SELECT
    card.customer_id,
    card.ord,
    card.label_en,
    card.label_fr,
    card.value_en,
    card.value_fr,
    card.section_en,
    card.section_fr,
    card.note_en,
    card.note_fr
FROM (
    SELECT
        s.customer_id,
        line.ord,
        line.label_en,
        line.label_fr,
        line.value_en,
        line.value_fr,
        'Score' AS section_en,
        'Score' AS section_fr,
        line.note_en,
        line.note_fr
    FROM reporting.customer_score AS s
    CROSS JOIN LATERAL (
        -- The badge says its decision in words and with a sign; its colours are told apart by colour-blind people too
        -- and are legible in a light and in a dark theme.
        SELECT
            CASE s.decision
                WHEN 'accept' THEN '<span style="background:#0072B2;color:#fff;border-radius:10px;padding:1px 8px">✔ '
                WHEN 'review' THEN '<span style="background:#E69F00;color:#000;border-radius:10px;padding:1px 8px">? '
                ELSE '<span style="background:#B34700;color:#fff;border-radius:10px;padding:1px 8px">✖ '
            END AS opening,
            '</span>' AS closing
    ) AS badge
    CROSS JOIN LATERAL (
        VALUES
            (
                1,
                'Score',
                'Score',
                '<b>' || s.score || '</b> / 100, ' || lower(s.band_label_en) || ' (' || s.band || ')',
                '<b>' || s.score || '</b> / 100, ' || lower(s.band_label_fr) || ' (' || s.band || ')',
                '0 is the worst score, 100 the best.',
                '0 est le plus mauvais score, 100 le meilleur.'
            ),
            (
                2,
                'Suggested decision',
                'Décision suggérée',
                badge.opening || s.decision_label_en || badge.closing,
                badge.opening || s.decision_label_fr || badge.closing,
                'Accept from ' || s.accept_threshold || ', review from ' || s.review_threshold || '.',
                'Accorder à partir de ' || s.accept_threshold || ', étudier à partir de ' || s.review_threshold || '.'
            ),
            (
                3,
                'Probability of default',
                'Probabilité de défaut',
                reporting.quantity_en(s.default_percent, 1, '%'),
                reporting.quantity_fr(s.default_percent, 1, '%'),
                'How likely payment difficulties are, as the model sees it.',
                'Risque de difficultés de paiement selon le modèle.'
            ),
            (
                4,
                'Among former customers',
                'Parmi les anciens clients',
                'as good as or better than ' || reporting.quantity_en(s.percentile, 0, '%'),
                'aussi bon ou meilleur que ' || reporting.quantity_fr(s.percentile, 0, '%'),
                'Share of former customers whose score is not higher.',
                'Part des anciens clients dont le score n''est pas plus élevé.'
            ),
            (
                5,
                'Compared with their mean',
                'Par rapport à leur moyenne',
                COALESCE(
                    reporting.points_en(s.difference_to_former_mean, 1) || ' (mean '
                    || reporting.format_number_en(s.former_mean_score, 1) || ')',
                    'not known'
                ),
                COALESCE(
                    reporting.points_fr(s.difference_to_former_mean, 1) || ' (moyenne '
                    || reporting.format_number_fr(s.former_mean_score, 1) || ')',
                    'inconnu'
                ),
                'Difference to the mean score of former customers.',
                'Écart au score moyen des anciens clients.'
            ),
            (
                6,
                'Since the previous run',
                'Depuis le calcul précédent',
                CASE
                    WHEN s.score_change IS NULL THEN 'no score before'
                    WHEN s.score_change = 0 THEN 'unchanged since ' || to_char(s.previous_as_of, 'FMDD Mon YYYY')
                    ELSE reporting.points_en(s.score_change, 0) || ' since '
                        || to_char(s.previous_as_of, 'FMDD Mon YYYY') || ' (was ' || s.previous_score || ')'
                END,
                CASE
                    WHEN s.score_change IS NULL THEN 'pas de score avant'
                    WHEN s.score_change = 0 THEN 'inchangé depuis le ' || to_char(s.previous_as_of, 'DD/MM/YYYY')
                    ELSE reporting.points_fr(s.score_change, 0) || ' depuis le '
                        || to_char(s.previous_as_of, 'DD/MM/YYYY') || U&' (avant\00A0: ' || s.previous_score || ')'
                END,
                'Change of the score since the run published before.',
                'Évolution du score depuis le calcul publié avant.'
            )
    ) AS line (ord, label_en, label_fr, value_en, value_fr, note_en, note_fr)
    UNION ALL
    SELECT
        e.customer_id,
        fact.ord,
        e.label_en,
        e.label_fr,
        -- The files have no empty value here but a code for "no job".
        CASE WHEN fact.feature = 'DAYS_EMPLOYED' AND e.raw_value IS NULL THEN 'no current job' ELSE e.value_en END,
        CASE WHEN fact.feature = 'DAYS_EMPLOYED' AND e.raw_value IS NULL THEN 'sans emploi actuel' ELSE e.value_fr END,
        CASE WHEN fact.ord < 30 THEN 'Person' ELSE 'Credit' END,
        CASE WHEN fact.ord < 30 THEN 'Personne' ELSE 'Crédit' END,
        e.description_en,
        e.description_fr
    FROM (
        VALUES
            (11, 'CODE_GENDER'),
            (12, 'DAYS_BIRTH'),
            (13, 'NAME_FAMILY_STATUS'),
            (14, 'CNT_CHILDREN'),
            (15, 'NAME_EDUCATION_TYPE'),
            (16, 'OCCUPATION_TYPE'),
            (17, 'DAYS_EMPLOYED'),
            (18, 'AMT_INCOME_TOTAL'),
            (19, 'NAME_HOUSING_TYPE'),
            (20, 'FLAG_OWN_REALTY'),
            (21, 'FLAG_OWN_CAR'),
            (22, 'REGION_RATING_CLIENT'),
            (31, 'NAME_CONTRACT_TYPE'),
            (32, 'AMT_CREDIT'),
            (33, 'AMT_ANNUITY'),
            (34, 'AMT_GOODS_PRICE'),
            (35, 'ANNUITY_INCOME_PERCENT'),
            (36, 'CREDIT_TERM')
    ) AS fact (ord, feature)
    JOIN reporting.customer_explanation AS e ON e.feature = fact.feature
    WHERE reporting.one_customer(e.customer_id)
) AS card;

COMMENT ON VIEW reporting.customer_card IS
    'Who one applicant of the published run is, in words and units: a line per fact. Ask for one customer_id at a '
    'time.';
COMMENT ON COLUMN reporting.customer_card.customer_id IS 'Application number.';
COMMENT ON COLUMN reporting.customer_card.ord IS 'Place of the line on the card.';
COMMENT ON COLUMN reporting.customer_card.label_en IS 'What the line tells, in English.';
COMMENT ON COLUMN reporting.customer_card.label_fr IS 'What the line tells, in French.';
COMMENT ON COLUMN reporting.customer_card.value_en IS
    'The applicant''s value in words and units in English; score and decision with a little HTML.';
COMMENT ON COLUMN reporting.customer_card.value_fr IS
    'The applicant''s value in words and units in French; score and decision with a little HTML.';
COMMENT ON COLUMN reporting.customer_card.section_en IS 'Part of the card in English: Score, Person or Credit.';
COMMENT ON COLUMN reporting.customer_card.section_fr IS 'Part of the card in French: Score, Personne or Crédit.';
COMMENT ON COLUMN reporting.customer_card.note_en IS 'What the fact means, one sentence in English.';
COMMENT ON COLUMN reporting.customer_card.note_fr IS 'What the fact means, one sentence in French.';
