CREATE VIEW reporting.portfolio_state AS
SELECT s.limited, s.version, s.changed_at, credit.acts_recorded() AS acts_recorded
FROM credit.portfolio_state AS s;

COMMENT ON VIEW reporting.portfolio_state IS
    'Whether advisors see their own customers only; one row.';
COMMENT ON COLUMN reporting.portfolio_state.limited IS
    'Whether who looks through the dashboards as an advisor sees assigned customers only.';
COMMENT ON COLUMN reporting.portfolio_state.version IS 'Counts every change of who sees whom.';
COMMENT ON COLUMN reporting.portfolio_state.changed_at IS 'When that was changed last.';
COMMENT ON COLUMN reporting.portfolio_state.acts_recorded IS
    'How many decisions, wishes for a review and conclusions are recorded, of all customers.';
