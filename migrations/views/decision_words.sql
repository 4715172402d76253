-- What people decide, in words: said in one place for views, pages and a person's copy.

CREATE FUNCTION reporting.human_decision_en(decision text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE decision
        WHEN 'accept' THEN 'Accepted' WHEN 'refuse' THEN 'Refused' WHEN 'accept_other_terms' THEN 'Accepted on other terms'
    END;
COMMENT ON FUNCTION reporting.human_decision_en(text) IS 'What a person decided, in English.';

CREATE FUNCTION reporting.human_decision_fr(decision text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE decision
        WHEN 'accept' THEN 'Accordé' WHEN 'refuse' THEN 'Refusé'
        WHEN 'accept_other_terms' THEN 'Accordé à d''autres conditions'
    END;
COMMENT ON FUNCTION reporting.human_decision_fr(text) IS 'What a person decided, in French.';

CREATE FUNCTION reporting.review_outcome_en(outcome text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE outcome WHEN 'upheld' THEN 'Upheld' WHEN 'changed' THEN 'Changed' ELSE 'Open' END;
COMMENT ON FUNCTION reporting.review_outcome_en(text) IS 'How a review ended, in English; "Open" for none.';

CREATE FUNCTION reporting.review_outcome_fr(outcome text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE outcome WHEN 'upheld' THEN 'Maintenue' WHEN 'changed' THEN 'Modifiée' ELSE 'En cours' END;
COMMENT ON FUNCTION reporting.review_outcome_fr(text) IS 'How a review ended, in French; "En cours" for none.';

-- Notes are shown in tables that draw HTML: what people write there stays text.
CREATE FUNCTION reporting.html_text(said text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN replace(replace(replace(said, '&', '&amp;'), '<', '&lt;'), '>', '&gt;');
COMMENT ON FUNCTION reporting.html_text(text) IS 'A text as HTML that shows it as it is.';
