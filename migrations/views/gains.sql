CREATE VIEW reporting.gains AS
SELECT
    m.model_id,
    g.decile,
    g.customers,
    g.defaulted,
    100 * g.default_rate AS default_rate,
    100 * g.share_of_customers AS customers_share,
    100 * g.share_of_defaults AS cumulative_defaults_share,
    g.lift,
    g.share_of_defaults / NULLIF(g.share_of_customers, 0) AS cumulative_lift,
    g.minimum_score AS lowest_score,
    g.maximum_score AS highest_score
FROM credit.model_version AS m
CROSS JOIN LATERAL jsonb_to_recordset(m.metrics -> 'gains') AS g (
    decile integer,
    customers integer,
    defaulted integer,
    default_rate double precision,
    share_of_customers double precision,
    share_of_defaults double precision,
    lift double precision,
    minimum_score double precision,
    maximum_score double precision
)
WHERE m.model_id = (SELECT run.model_id FROM reporting.published_run AS run);

COMMENT ON VIEW reporting.gains IS
    'How soon the published run''s model finds the defaults: former customers, each scored by a model that never saw '
    'them, in tenths from the most to the least risky.';
COMMENT ON COLUMN reporting.gains.model_id IS 'The model, see model_card.';
COMMENT ON COLUMN reporting.gains.decile IS 'Number of the tenth, 1 is the riskiest.';
COMMENT ON COLUMN reporting.gains.customers IS 'How many former customers are in it.';
COMMENT ON COLUMN reporting.gains.defaulted IS 'How many of them defaulted.';
COMMENT ON COLUMN reporting.gains.default_rate IS 'The same as a share of them, in %.';
COMMENT ON COLUMN reporting.gains.customers_share IS
    'Share of all former customers in this tenth and those before it, in %.';
COMMENT ON COLUMN reporting.gains.cumulative_defaults_share IS
    'Share of all defaults in this tenth and those before it, in %.';
COMMENT ON COLUMN reporting.gains.lift IS 'Default rate of the tenth, as a multiple of that of all former customers.';
COMMENT ON COLUMN reporting.gains.cumulative_lift IS
    'Default rate of this tenth and those before it, as a multiple of that of all former customers.';
COMMENT ON COLUMN reporting.gains.lowest_score IS 'Lowest score before rounding in the tenth.';
COMMENT ON COLUMN reporting.gains.highest_score IS 'Highest score before rounding in the tenth.';
