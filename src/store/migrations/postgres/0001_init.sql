-- The first schema. Amounts are micro-units (10^-6) in columns ending in _u; the same version
-- numbers exist for SQLite and PostgreSQL.

CREATE TABLE id_block (
    noun TEXT PRIMARY KEY,
    next_id BIGINT NOT NULL
);

-- Raw documents as received: append-only, compressed, hashed.
CREATE TABLE archive (
    id BIGINT PRIMARY KEY,
    connector TEXT NOT NULL,
    feed TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    mapping TEXT,
    run_id BIGINT,
    received_at TIMESTAMPTZ NOT NULL
);
-- Not unique: known bytes that come after others are a new delivery; the first row keeps the chunks.
CREATE INDEX archive_content ON archive (connector, feed, sha256);
CREATE TABLE archive_chunk (
    archive_id BIGINT NOT NULL REFERENCES archive (id),
    seq BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (archive_id, seq)
);
CREATE TABLE archive_work (
    archive_id BIGINT PRIMARY KEY REFERENCES archive (id),
    state TEXT NOT NULL CHECK (state IN ('new', 'normalized', 'refused')),
    rows_in BIGINT NOT NULL DEFAULT 0,
    rows_out BIGINT NOT NULL DEFAULT 0,
    rows_skipped BIGINT NOT NULL DEFAULT 0,
    rows_refused BIGINT NOT NULL DEFAULT 0,
    acknowledge_key TEXT,
    acknowledged BIGINT NOT NULL DEFAULT 0,
    seen_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX archive_work_new ON archive_work (state) WHERE state = 'new';
CREATE TABLE feed_cursor (
    connector TEXT NOT NULL,
    feed TEXT NOT NULL,
    cursor TEXT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (connector, feed)
);

-- Master data: identities once, facts dated.
CREATE TABLE partner (
    id BIGINT PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    merged_into TEXT,
    merged_on DATE,
    merge_history TEXT CHECK (merge_history IN ('stays', 'moves'))
);
CREATE TABLE partner_fact (
    partner_id BIGINT NOT NULL REFERENCES partner (id),
    valid_from DATE NOT NULL,
    name TEXT NOT NULL,
    parent TEXT,
    groups TEXT NOT NULL DEFAULT '',
    email TEXT NOT NULL DEFAULT '',
    language TEXT,
    currency TEXT,
    country TEXT,
    tax_id TEXT,
    PRIMARY KEY (partner_id, valid_from)
);
CREATE TABLE partner_alias (
    alias TEXT PRIMARY KEY,
    partner_id BIGINT NOT NULL REFERENCES partner (id)
);
CREATE TABLE item (
    id BIGINT PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    replaced_by TEXT,
    replaced_on DATE
);
CREATE TABLE item_fact (
    item_id BIGINT NOT NULL REFERENCES item (id),
    valid_from DATE NOT NULL,
    description TEXT,
    category TEXT,
    brand TEXT,
    item_group TEXT,
    base_unit TEXT,
    weight_u BIGINT,
    PRIMARY KEY (item_id, valid_from)
);
CREATE TABLE unit_conversion (
    item_id BIGINT NOT NULL,
    from_unit TEXT NOT NULL,
    to_unit TEXT NOT NULL,
    valid_from DATE NOT NULL,
    factor_e10 BIGINT NOT NULL CHECK (factor_e10 > 0),
    PRIMARY KEY (item_id, from_unit, to_unit, valid_from)
);
CREATE TABLE exchange_rate (
    rate_type TEXT NOT NULL,
    from_currency TEXT NOT NULL,
    to_currency TEXT NOT NULL,
    rate_on DATE NOT NULL,
    rate_e10 BIGINT NOT NULL CHECK (rate_e10 > 0),
    PRIMARY KEY (rate_type, from_currency, to_currency, rate_on)
);
-- Canonical tables that later rebate types read; kept as imported.
CREATE TABLE canonical_row (
    kind TEXT NOT NULL,
    row_key TEXT NOT NULL,
    body TEXT NOT NULL,
    archive_id BIGINT NOT NULL,
    PRIMARY KEY (kind, row_key)
);

-- Documents: the undistributed registry of identities. `issuer` is the partner code for documents
-- that others number (claims, resale reports), else empty.
CREATE TABLE document (
    id BIGINT PRIMARY KEY,
    company TEXT NOT NULL,
    document_type TEXT NOT NULL,
    document_number TEXT NOT NULL,
    document_year BIGINT NOT NULL,
    issuer TEXT NOT NULL DEFAULT '',
    version BIGINT NOT NULL,
    partner_id BIGINT,
    partner_code TEXT NOT NULL,
    document_date DATE NOT NULL,
    posting_date DATE,
    paid_on DATE,
    status TEXT NOT NULL,
    our_reference TEXT,
    currency TEXT NOT NULL,
    changed_at TIMESTAMPTZ,
    sequence BIGINT,
    content_hash BYTEA NOT NULL,
    archive_id BIGINT NOT NULL,
    source_rank BIGINT NOT NULL DEFAULT 0,
    gone_on DATE,
    UNIQUE (document_number, company, document_type, document_year, issuer)
);
-- Lines: facts, one row per line and document version; `superseded` marks all but the newest.
CREATE TABLE line (
    id BIGINT NOT NULL,
    partner_id BIGINT NOT NULL,
    document_id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    line_number TEXT NOT NULL,
    document_date DATE NOT NULL,
    item_id BIGINT,
    line_kind TEXT NOT NULL,
    quantity_u BIGINT NOT NULL,
    unit TEXT NOT NULL,
    gross_u BIGINT,
    net_u BIGINT NOT NULL,
    tax_u BIGINT,
    cost_u BIGINT,
    currency TEXT NOT NULL,
    refers_to_document TEXT,
    refers_to_line TEXT,
    extra TEXT,
    superseded BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id, partner_id)
);
CREATE UNIQUE INDEX line_identity ON line (partner_id, document_id, version, line_number);
-- Few lines lack an item, and every night asks for them.
CREATE INDEX line_without_item ON line (partner_id) WHERE item_id IS NULL;
CREATE INDEX line_refers ON line (refers_to_document) WHERE refers_to_document IS NOT NULL;
-- Lines that could not be resolved yet: nothing is dropped, each has an open exception.
CREATE TABLE pending_line (
    document_id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    line_number TEXT NOT NULL,
    draft TEXT NOT NULL,
    codes TEXT NOT NULL,
    PRIMARY KEY (document_id, version, line_number)
);

-- Work for the match stage.
CREATE TABLE watermark (
    noun TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
-- Versions whose share has to be taken out of the running sums, with the head they had.
CREATE TABLE superseded_version (
    document_id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    partner_id BIGINT NOT NULL,
    document_date DATE NOT NULL,
    posting_date DATE,
    paid_on DATE,
    status TEXT NOT NULL,
    our_reference TEXT,
    PRIMARY KEY (document_id, version)
);
CREATE TABLE dirty_partner (
    partner_id BIGINT PRIMARY KEY,
    reason TEXT NOT NULL
);
CREATE TABLE dirty_agreement (
    agreement TEXT PRIMARY KEY,
    reason TEXT NOT NULL
);

-- Ship-and-debit: dated rows of authorisations by book ('' for imported ones, else the file of a term).
CREATE TABLE claim_authorization (
    book TEXT NOT NULL,
    number TEXT NOT NULL,
    partner TEXT NOT NULL,
    end_customer TEXT NOT NULL,
    item TEXT NOT NULL,
    shipped_from DATE NOT NULL,
    shipped_to DATE,
    book_price_u BIGINT,
    price_u BIGINT,
    margin_e8 BIGINT,
    currency TEXT,
    unit TEXT,
    quantity_cap_u BIGINT,
    archive_id BIGINT NOT NULL,
    PRIMARY KEY (book, number, partner, end_customer, item, shipped_from)
);
-- What partners have on hand; a unit cost of -1 is not known.
CREATE TABLE channel_stock (
    partner TEXT NOT NULL,
    item TEXT NOT NULL,
    stock_on DATE NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('count', 'receipt')),
    unit_cost_u BIGINT NOT NULL,
    quantity_u BIGINT NOT NULL,
    PRIMARY KEY (partner, item, stock_on, kind, unit_cost_u)
);
-- Why claims have to be decided again.
CREATE TABLE dirty_claims (
    reason TEXT PRIMARY KEY
);
-- What was decided on each claim line (document 0: on stock on hand). Exact figures (10^-16) are 128-bit integers as text.
CREATE TABLE claim_decision (
    document_id BIGINT NOT NULL,
    line_number TEXT NOT NULL,
    line_id BIGINT NOT NULL,
    partner_id BIGINT NOT NULL,
    agreement TEXT NOT NULL,
    term TEXT NOT NULL,
    period_from DATE NOT NULL,
    period_to DATE NOT NULL,
    part BIGINT NOT NULL,
    bucket DATE NOT NULL,
    version BIGINT NOT NULL,
    number TEXT NOT NULL,
    facts TEXT NOT NULL,
    settlement_id BIGINT,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    claimed TEXT NOT NULL,
    basis TEXT NOT NULL,
    amount TEXT NOT NULL,
    quantity TEXT NOT NULL,
    pool TEXT NOT NULL,
    PRIMARY KEY (document_id, line_number)
);
CREATE INDEX document_claims ON document (partner_id) WHERE document_type IN ('claim', 'resale');
CREATE INDEX claim_decision_pair ON claim_decision (partner_id, agreement);
-- Settlements whose decisions are kept as they were paid.
CREATE TABLE claim_settlement (
    settlement_id BIGINT PRIMARY KEY
);

-- Exceptions: what a person has to decide.
CREATE TABLE exception (
    id BIGINT PRIMARY KEY,
    code TEXT NOT NULL,
    blocking BIGINT NOT NULL,
    subject TEXT NOT NULL,
    message TEXT NOT NULL,
    help TEXT,
    place TEXT,
    state TEXT NOT NULL CHECK (state IN ('open', 'resolved')),
    partner TEXT,
    agreement TEXT,
    document_id BIGINT,
    line_number TEXT,
    on_date DATE,
    dedupe_key TEXT NOT NULL,
    opened_on DATE NOT NULL,
    opened_at TIMESTAMPTZ NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL,
    owner TEXT,
    resolution TEXT,
    reason TEXT,
    resolved_by TEXT,
    resolved_at TIMESTAMPTZ
);
CREATE UNIQUE INDEX exception_open ON exception (dedupe_key) WHERE state = 'open';
CREATE INDEX exception_document ON exception (document_id) WHERE state = 'open';

-- Agreements: versions are never overwritten.
CREATE TABLE agreement_version (
    agreement TEXT NOT NULL,
    version BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('draft', 'submitted', 'active', 'rejected')),
    body TEXT NOT NULL,
    source_name TEXT NOT NULL,
    source_sha256 TEXT NOT NULL,
    source_text TEXT NOT NULL,
    entered_by TEXT NOT NULL,
    entered_at TIMESTAMPTZ NOT NULL,
    approved_by TEXT,
    approved_at TIMESTAMPTZ,
    rejected_by TEXT,
    reason TEXT,
    PRIMARY KEY (agreement, version),
    CHECK (approved_by IS NULL OR approved_by <> entered_by)
);

-- Running sums per key and accounting month. Exact sums (10^-16) are 128-bit integers as text.
CREATE TABLE accumulator (
    partner_id BIGINT NOT NULL,
    agreement TEXT NOT NULL,
    term TEXT NOT NULL,
    period_from DATE NOT NULL,
    period_to DATE NOT NULL,
    part BIGINT NOT NULL,
    facet BIGINT NOT NULL,
    bucket DATE NOT NULL,
    version BIGINT NOT NULL,
    sum0 TEXT NOT NULL,
    sum1 TEXT NOT NULL,
    sum2 TEXT NOT NULL,
    sum3 TEXT NOT NULL,
    line_count BIGINT NOT NULL,
    document_count BIGINT NOT NULL,
    PRIMARY KEY (partner_id, agreement, term, period_from, period_to, part, facet, bucket, version)
);
CREATE INDEX accumulator_lost ON accumulator (partner_id) WHERE facet = 3;
-- Baselines of growth that stand: imported by a person, or frozen on their day. Late documents do not move them;
-- a rebuild keeps them. `figure` is exact, in units of 10^-16 of the measure; an empty term is the only growth term.
CREATE TABLE baseline (
    partner_id BIGINT NOT NULL,
    agreement TEXT NOT NULL,
    term TEXT NOT NULL,
    period_from DATE NOT NULL,
    period_to DATE NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('frozen', 'imported')),
    figure TEXT NOT NULL,
    recorded_on DATE NOT NULL,
    PRIMARY KEY (partner_id, agreement, term, period_from, period_to, kind)
);
-- Which agreement, partner pairs accrue has to look at, and why.
CREATE TABLE dirty_key (
    partner_id BIGINT NOT NULL,
    agreement TEXT NOT NULL,
    reason TEXT NOT NULL,
    months TEXT NOT NULL,
    PRIMARY KEY (partner_id, agreement)
);

-- What is due by the rules, as found on a business day. Append-only: the newest row of a key counts.
CREATE TABLE earned_figure (
    id BIGINT NOT NULL,
    partner_id BIGINT NOT NULL,
    agreement TEXT NOT NULL,
    version BIGINT NOT NULL,
    term TEXT NOT NULL,
    period_from DATE NOT NULL,
    period_to DATE NOT NULL,
    part BIGINT NOT NULL,
    currency TEXT NOT NULL,
    business_day DATE NOT NULL,
    run_id BIGINT,
    qualifier_u BIGINT NOT NULL,
    base_u BIGINT NOT NULL,
    tier BIGINT,
    unrounded TEXT NOT NULL,
    earned_u BIGINT NOT NULL,
    free_goods_u BIGINT NOT NULL,
    PRIMARY KEY (id, partner_id)
);
CREATE INDEX earned_key ON earned_figure (partner_id, agreement, term, period_from, part);
-- The accrual ledger: append-only. A booking is the change of a rounded figure.
CREATE TABLE accrual_entry (
    id BIGINT NOT NULL,
    partner_id BIGINT NOT NULL,
    agreement TEXT NOT NULL,
    version BIGINT NOT NULL,
    term TEXT NOT NULL,
    period_from DATE NOT NULL,
    period_to DATE NOT NULL,
    part BIGINT NOT NULL,
    accounting_month DATE NOT NULL,
    for_month DATE NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('base', 'rate-adjustment', 'prior-period-adjustment', 'reversal', 'settlement', 'write-off')),
    amount_u BIGINT NOT NULL,
    currency TEXT NOT NULL,
    business_day DATE NOT NULL,
    run_id BIGINT,
    settlement_id BIGINT,
    seq BIGINT NOT NULL,
    reason TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (id, partner_id)
);
-- An entry is the next one after those that its maker saw: two that were reckoned from the same state cannot both stand.
CREATE UNIQUE INDEX accrual_entry_key ON accrual_entry (partner_id, agreement, term, period_from, period_to, part, COALESCE(settlement_id, 0), seq);

CREATE TABLE accounting_period (
    first_day DATE PRIMARY KEY,
    last_day DATE NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'closed')),
    changed_by TEXT NOT NULL,
    reason TEXT,
    changed_at TIMESTAMPTZ NOT NULL
);

-- Settlements. The reference is unique for ever and never contains amount or revision.
CREATE TABLE settlement (
    id BIGINT PRIMARY KEY,
    agreement TEXT NOT NULL,
    payee TEXT NOT NULL,
    period_from DATE NOT NULL,
    period_to DATE NOT NULL,
    currency TEXT NOT NULL,
    number BIGINT NOT NULL,
    reference TEXT NOT NULL UNIQUE,
    amount_u BIGINT NOT NULL CHECK (amount_u > 0 OR state IN ('empty', 'rejected', 'withdrawn')),
    carried_forward_u BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('proposed', 'approved', 'sending', 'sent', 'unknown', 'confirmed', 'refused', 'rejected', 'withdrawn', 'empty')),
    revision BIGINT NOT NULL,
    fingerprint TEXT NOT NULL,
    method TEXT NOT NULL,
    connector TEXT,
    maker TEXT NOT NULL,
    erp_document TEXT,
    business_day DATE NOT NULL,
    reason TEXT,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (agreement, payee, period_from, period_to, currency, number)
);
CREATE TABLE settlement_part (
    settlement_id BIGINT NOT NULL REFERENCES settlement (id),
    partner_id BIGINT NOT NULL,
    term TEXT NOT NULL,
    period_from DATE NOT NULL,
    period_to DATE NOT NULL,
    part BIGINT NOT NULL,
    amount_u BIGINT NOT NULL,
    PRIMARY KEY (settlement_id, partner_id, term, period_from, period_to, part)
);
-- What was shown for approval, revision by revision: append-only.
CREATE TABLE settlement_revision (
    settlement_id BIGINT NOT NULL REFERENCES settlement (id),
    revision BIGINT NOT NULL,
    amount_u BIGINT NOT NULL,
    fingerprint TEXT NOT NULL,
    snapshot BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (settlement_id, revision)
);
CREATE TABLE approval (
    id BIGINT PRIMARY KEY,
    settlement_id BIGINT NOT NULL REFERENCES settlement (id),
    fingerprint TEXT NOT NULL,
    maker TEXT NOT NULL,
    approver TEXT NOT NULL,
    approved_at TIMESTAMPTZ NOT NULL,
    void_reason TEXT,
    CHECK (approver <> maker)
);
CREATE UNIQUE INDEX approval_once ON approval (settlement_id, fingerprint, approver) WHERE void_reason IS NULL;
CREATE TABLE memo_outbox (
    settlement_id BIGINT PRIMARY KEY REFERENCES settlement (id),
    reference TEXT NOT NULL UNIQUE,
    connector TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('planned', 'sent', 'unknown', 'confirmed', 'refused')),
    remote_id TEXT,
    erp_document TEXT,
    attempts BIGINT NOT NULL DEFAULT 0,
    not_before TIMESTAMPTZ,
    last_answer TEXT,
    updated_at TIMESTAMPTZ NOT NULL
);
-- Memos that a source shows, for reconciliation by reference.
CREATE TABLE erp_memo (
    reference TEXT NOT NULL,
    document TEXT NOT NULL,
    memo_date DATE,
    currency TEXT NOT NULL,
    amount_u BIGINT NOT NULL,
    status TEXT NOT NULL,
    archive_id BIGINT NOT NULL,
    PRIMARY KEY (reference, document)
);

-- Statements and mail. One row per recipient, written before the first attempt.
CREATE TABLE statement (
    id BIGINT PRIMARY KEY,
    partner TEXT NOT NULL,
    period_from DATE NOT NULL,
    period_to DATE NOT NULL,
    revision BIGINT NOT NULL,
    figures TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    business_day DATE NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    UNIQUE (partner, period_from, period_to, revision)
);
CREATE TABLE mail (
    id BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    statement_id BIGINT,
    partner_code TEXT NOT NULL,
    period_from DATE NOT NULL,
    period_to DATE NOT NULL,
    revision BIGINT NOT NULL,
    contact TEXT NOT NULL,
    message_id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('planned', 'sending', 'sent', 'later', 'uncertain', 'refused', 'bounced')),
    attempts BIGINT NOT NULL DEFAULT 0,
    next_attempt_at TIMESTAMPTZ,
    last_answer TEXT,
    updated_at TIMESTAMPTZ NOT NULL,
    UNIQUE (kind, partner_code, period_from, period_to, revision, contact)
);

-- Runs: what has been done is decided by the stored keys.
CREATE TABLE run (
    id BIGINT PRIMARY KEY,
    job TEXT NOT NULL,
    run_key TEXT NOT NULL,
    business_day DATE NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('requested', 'running', 'finished', 'failed', 'abandoned')),
    attempt BIGINT NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_token BIGINT NOT NULL DEFAULT 0,
    lease_until TIMESTAMPTZ,
    heartbeat_at TIMESTAMPTZ,
    caught_up BIGINT NOT NULL DEFAULT 0,
    error TEXT,
    program_version TEXT,
    requested_at TIMESTAMPTZ NOT NULL,
    started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    UNIQUE (job, run_key)
);
CREATE TABLE run_stage (
    run_id BIGINT NOT NULL REFERENCES run (id),
    attempt BIGINT NOT NULL,
    stage TEXT NOT NULL,
    count_in BIGINT NOT NULL,
    count_out BIGINT NOT NULL,
    exceptions BIGINT NOT NULL,
    detail TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    finished_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (run_id, attempt, stage)
);
CREATE TABLE schedule_plan (
    job TEXT PRIMARY KEY,
    last_planned_key TEXT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

-- People. Tokens are kept as hashes only.
CREATE TABLE app_user (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('admin', 'sales', 'finance-preparer', 'finance-approver', 'auditor', 'partner')),
    created_at TIMESTAMPTZ NOT NULL,
    disabled_at TIMESTAMPTZ
);
CREATE TABLE user_token (
    id BIGINT PRIMARY KEY,
    user_name TEXT NOT NULL REFERENCES app_user (name),
    token_sha256 TEXT NOT NULL UNIQUE,
    created_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ
);
-- What a person was shown last of a settlement or an agreement: an approval is for that content.
CREATE TABLE shown (
    user_name TEXT NOT NULL REFERENCES app_user (name),
    subject TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    shown_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_name, subject)
);
-- Audit trail: append-only, each row hashed over the one before.
CREATE TABLE audit (
    id BIGINT PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    result TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER archive_no_change BEFORE UPDATE OR DELETE ON archive FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER archive_no_truncate BEFORE TRUNCATE ON archive EXECUTE FUNCTION refuse_change();
CREATE TRIGGER archive_chunk_no_change BEFORE UPDATE OR DELETE ON archive_chunk FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER archive_chunk_no_truncate BEFORE TRUNCATE ON archive_chunk EXECUTE FUNCTION refuse_change();
CREATE TRIGGER accrual_entry_no_change BEFORE UPDATE OR DELETE ON accrual_entry FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER accrual_entry_no_truncate BEFORE TRUNCATE ON accrual_entry EXECUTE FUNCTION refuse_change();
CREATE TRIGGER earned_figure_no_change BEFORE UPDATE OR DELETE ON earned_figure FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER earned_figure_no_truncate BEFORE TRUNCATE ON earned_figure EXECUTE FUNCTION refuse_change();
CREATE TRIGGER settlement_revision_no_change BEFORE UPDATE OR DELETE ON settlement_revision FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER settlement_revision_no_truncate BEFORE TRUNCATE ON settlement_revision EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit EXECUTE FUNCTION refuse_change();

-- Ordinary decimals for reporting tools.
CREATE VIEW report_accrual AS
SELECT e.id, p.code AS partner, e.agreement, e.version, e.term, e.period_from, e.period_to, e.accounting_month, e.for_month, e.kind,
       CAST(CAST(e.amount_u AS NUMERIC) / 1000000 AS NUMERIC(26, 6)) AS amount, e.currency, e.business_day, e.reason
FROM accrual_entry e JOIN partner p ON p.id = e.partner_id;
CREATE VIEW report_settlement AS
SELECT s.id, s.agreement, s.payee, s.period_from, s.period_to, s.currency, s.reference, s.state,
       CAST(CAST(s.amount_u AS NUMERIC) / 1000000 AS NUMERIC(26, 6)) AS amount, s.erp_document
FROM settlement s;
CREATE VIEW report_line AS
SELECT d.company, d.document_type, d.document_number, l.line_number, l.document_date, p.code AS partner, i.code AS item, l.line_kind,
       CAST(CAST(l.quantity_u AS NUMERIC) / 1000000 AS NUMERIC(26, 6)) AS quantity, l.unit, CAST(CAST(l.net_u AS NUMERIC) / 1000000 AS NUMERIC(26, 6)) AS net_amount, l.currency, d.status
FROM line l JOIN document d ON d.id = l.document_id JOIN partner p ON p.id = l.partner_id LEFT JOIN item i ON i.id = l.item_id
WHERE l.superseded = 0;
