CREATE VIEW reporting.decision_ground AS
SELECT g.code AS reason_code, g.place, g.label_en, g.label_fr FROM credit.decision_ground AS g WHERE g.offered;

COMMENT ON VIEW reporting.decision_ground IS 'The grounds that a person may give for a decision.';
COMMENT ON COLUMN reporting.decision_ground.reason_code IS 'Code of the ground, as in decision.';
COMMENT ON COLUMN reporting.decision_ground.place IS 'Place in the list that is offered.';
COMMENT ON COLUMN reporting.decision_ground.label_en IS 'The ground in English.';
COMMENT ON COLUMN reporting.decision_ground.label_fr IS 'The ground in French.';
