-- The first schema. Amounts are micro-units (10^-6) in columns ending in _u; the same version
-- numbers exist for SQLite and PostgreSQL.

CREATE TABLE id_block (
    noun TEXT PRIMARY KEY,
    next_id INTEGER NOT NULL
) STRICT;

-- Raw documents as received: append-only, compressed, hashed.
CREATE TABLE archive (
    id INTEGER PRIMARY KEY,
    connector TEXT NOT NULL,
    feed TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    mapping TEXT,
    run_id INTEGER,
    received_at TEXT NOT NULL
) STRICT;
-- Not unique: known bytes that come after others are a new delivery; the first row keeps the chunks.
CREATE INDEX archive_content ON archive (connector, feed, sha256);
CREATE TABLE archive_chunk (
    archive_id INTEGER NOT NULL REFERENCES archive (id),
    seq INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (archive_id, seq)
) STRICT;
CREATE TABLE archive_work (
    archive_id INTEGER PRIMARY KEY REFERENCES archive (id),
    state TEXT NOT NULL CHECK (state IN ('new', 'normalized', 'refused')),
    rows_in INTEGER NOT NULL DEFAULT 0,
    rows_out INTEGER NOT NULL DEFAULT 0,
    rows_skipped INTEGER NOT NULL DEFAULT 0,
    rows_refused INTEGER NOT NULL DEFAULT 0,
    acknowledge_key TEXT,
    acknowledged INTEGER NOT NULL DEFAULT 0,
    seen_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX archive_work_new ON archive_work (state) WHERE state = 'new';
CREATE TABLE feed_cursor (
    connector TEXT NOT NULL,
    feed TEXT NOT NULL,
    cursor TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (connector, feed)
) STRICT;

-- Master data: identities once, facts dated.
CREATE TABLE partner (
    id INTEGER PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    merged_into TEXT,
    merged_on TEXT,
    merge_history TEXT CHECK (merge_history IN ('stays', 'moves'))
) STRICT;
CREATE TABLE partner_fact (
    partner_id INTEGER NOT NULL REFERENCES partner (id),
    valid_from TEXT NOT NULL,
    name TEXT NOT NULL,
    parent TEXT,
    groups TEXT NOT NULL DEFAULT '',
    email TEXT NOT NULL DEFAULT '',
    language TEXT,
    currency TEXT,
    country TEXT,
    tax_id TEXT,
    PRIMARY KEY (partner_id, valid_from)
) STRICT;
CREATE TABLE partner_alias (
    alias TEXT PRIMARY KEY,
    partner_id INTEGER NOT NULL REFERENCES partner (id)
) STRICT;
CREATE TABLE item (
    id INTEGER PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    replaced_by TEXT,
    replaced_on TEXT
) STRICT;
CREATE TABLE item_fact (
    item_id INTEGER NOT NULL REFERENCES item (id),
    valid_from TEXT NOT NULL,
    description TEXT,
    category TEXT,
    brand TEXT,
    item_group TEXT,
    base_unit TEXT,
    weight_u INTEGER,
    PRIMARY KEY (item_id, valid_from)
) STRICT;
CREATE TABLE unit_conversion (
    item_id INTEGER NOT NULL,
    from_unit TEXT NOT NULL,
    to_unit TEXT NOT NULL,
    valid_from TEXT NOT NULL,
    factor_e10 INTEGER NOT NULL CHECK (factor_e10 > 0),
    PRIMARY KEY (item_id, from_unit, to_unit, valid_from)
) STRICT;
CREATE TABLE exchange_rate (
    rate_type TEXT NOT NULL,
    from_currency TEXT NOT NULL,
    to_currency TEXT NOT NULL,
    rate_on TEXT NOT NULL,
    rate_e10 INTEGER NOT NULL CHECK (rate_e10 > 0),
    PRIMARY KEY (rate_type, from_currency, to_currency, rate_on)
) STRICT;
-- Canonical tables that later rebate types read; kept as imported.
CREATE TABLE canonical_row (
    kind TEXT NOT NULL,
    row_key TEXT NOT NULL,
    body TEXT NOT NULL,
    archive_id INTEGER NOT NULL,
    PRIMARY KEY (kind, row_key)
) STRICT;

-- Documents: the undistributed registry of identities. `issuer` is the partner code for documents
-- that others number (claims, resale reports), else empty.
CREATE TABLE document (
    id INTEGER PRIMARY KEY,
    company TEXT NOT NULL,
    document_type TEXT NOT NULL,
    document_number TEXT NOT NULL,
    document_year INTEGER NOT NULL,
    issuer TEXT NOT NULL DEFAULT '',
    version INTEGER NOT NULL,
    partner_id INTEGER,
    partner_code TEXT NOT NULL,
    document_date TEXT NOT NULL,
    posting_date TEXT,
    paid_on TEXT,
    status TEXT NOT NULL,
    our_reference TEXT,
    currency TEXT NOT NULL,
    changed_at TEXT,
    sequence INTEGER,
    content_hash BLOB NOT NULL,
    archive_id INTEGER NOT NULL,
    source_rank INTEGER NOT NULL DEFAULT 0,
    gone_on TEXT,
    UNIQUE (document_number, company, document_type, document_year, issuer)
) STRICT;
-- Lines: facts, one row per line and document version; `superseded` marks all but the newest.
CREATE TABLE line (
    id INTEGER NOT NULL,
    partner_id INTEGER NOT NULL,
    document_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    line_number TEXT NOT NULL,
    document_date TEXT NOT NULL,
    item_id INTEGER,
    line_kind TEXT NOT NULL,
    quantity_u INTEGER NOT NULL,
    unit TEXT NOT NULL,
    gross_u INTEGER,
    net_u INTEGER NOT NULL,
    tax_u INTEGER,
    cost_u INTEGER,
    currency TEXT NOT NULL,
    refers_to_document TEXT,
    refers_to_line TEXT,
    extra TEXT,
    superseded INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (id)
) STRICT;
CREATE UNIQUE INDEX line_identity ON line (partner_id, document_id, version, line_number);
-- Few lines lack an item, and every night asks for them.
CREATE INDEX line_without_item ON line (partner_id) WHERE item_id IS NULL;
CREATE INDEX line_refers ON line (refers_to_document) WHERE refers_to_document IS NOT NULL;
-- Lines that could not be resolved yet: nothing is dropped, each has an open exception.
CREATE TABLE pending_line (
    document_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    line_number TEXT NOT NULL,
    draft TEXT NOT NULL,
    codes TEXT NOT NULL,
    PRIMARY KEY (document_id, version, line_number)
) STRICT;

-- Work for the match stage.
CREATE TABLE watermark (
    noun TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;
-- Versions whose share has to be taken out of the running sums, with the head they had.
CREATE TABLE superseded_version (
    document_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    partner_id INTEGER NOT NULL,
    document_date TEXT NOT NULL,
    posting_date TEXT,
    paid_on TEXT,
    status TEXT NOT NULL,
    our_reference TEXT,
    PRIMARY KEY (document_id, version)
) STRICT;
CREATE TABLE dirty_partner (
    partner_id INTEGER PRIMARY KEY,
    reason TEXT NOT NULL
) STRICT;
CREATE TABLE dirty_agreement (
    agreement TEXT PRIMARY KEY,
    reason TEXT NOT NULL
) STRICT;

-- Ship-and-debit: dated rows of authorisations by book ('' for imported ones, else the file of a term).
CREATE TABLE claim_authorization (
    book TEXT NOT NULL,
    number TEXT NOT NULL,
    partner TEXT NOT NULL,
    end_customer TEXT NOT NULL,
    item TEXT NOT NULL,
    shipped_from TEXT NOT NULL,
    shipped_to TEXT,
    book_price_u INTEGER,
    price_u INTEGER,
    margin_e8 INTEGER,
    currency TEXT,
    unit TEXT,
    quantity_cap_u INTEGER,
    archive_id INTEGER NOT NULL,
    PRIMARY KEY (book, number, partner, end_customer, item, shipped_from)
) STRICT;
-- What partners have on hand; a unit cost of -1 is not known.
CREATE TABLE channel_stock (
    partner TEXT NOT NULL,
    item TEXT NOT NULL,
    stock_on TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('count', 'receipt')),
    unit_cost_u INTEGER NOT NULL,
    quantity_u INTEGER NOT NULL,
    PRIMARY KEY (partner, item, stock_on, kind, unit_cost_u)
) STRICT;
-- Why claims have to be decided again.
CREATE TABLE dirty_claims (
    reason TEXT PRIMARY KEY
) STRICT;
-- What was decided on each claim line (document 0: on stock on hand). Exact figures (10^-16) are 128-bit integers as text.
CREATE TABLE claim_decision (
    document_id INTEGER NOT NULL,
    line_number TEXT NOT NULL,
    line_id INTEGER NOT NULL,
    partner_id INTEGER NOT NULL,
    agreement TEXT NOT NULL,
    term TEXT NOT NULL,
    period_from TEXT NOT NULL,
    period_to TEXT NOT NULL,
    part INTEGER NOT NULL,
    bucket TEXT NOT NULL,
    version INTEGER NOT NULL,
    number TEXT NOT NULL,
    facts TEXT NOT NULL,
    settlement_id INTEGER,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    claimed TEXT NOT NULL,
    basis TEXT NOT NULL,
    amount TEXT NOT NULL,
    quantity TEXT NOT NULL,
    pool TEXT NOT NULL,
    PRIMARY KEY (document_id, line_number)
) STRICT;
CREATE INDEX document_claims ON document (partner_id) WHERE document_type IN ('claim', 'resale');
CREATE INDEX claim_decision_pair ON claim_decision (partner_id, agreement);
-- Settlements whose decisions are kept as they were paid.
CREATE TABLE claim_settlement (
    settlement_id INTEGER PRIMARY KEY
) STRICT;

-- Exceptions: what a person has to decide.
CREATE TABLE exception (
    id INTEGER PRIMARY KEY,
    code TEXT NOT NULL,
    blocking INTEGER NOT NULL,
    subject TEXT NOT NULL,
    message TEXT NOT NULL,
    help TEXT,
    place TEXT,
    state TEXT NOT NULL CHECK (state IN ('open', 'resolved')),
    partner TEXT,
    agreement TEXT,
    document_id INTEGER,
    line_number TEXT,
    on_date TEXT,
    dedupe_key TEXT NOT NULL,
    opened_on TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    owner TEXT,
    resolution TEXT,
    reason TEXT,
    resolved_by TEXT,
    resolved_at TEXT
) STRICT;
CREATE UNIQUE INDEX exception_open ON exception (dedupe_key) WHERE state = 'open';
CREATE INDEX exception_document ON exception (document_id) WHERE state = 'open';

-- Agreements: versions are never overwritten.
CREATE TABLE agreement_version (
    agreement TEXT NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('draft', 'submitted', 'active', 'rejected')),
    body TEXT NOT NULL,
    source_name TEXT NOT NULL,
    source_sha256 TEXT NOT NULL,
    source_text TEXT NOT NULL,
    entered_by TEXT NOT NULL,
    entered_at TEXT NOT NULL,
    approved_by TEXT,
    approved_at TEXT,
    rejected_by TEXT,
    reason TEXT,
    PRIMARY KEY (agreement, version),
    CHECK (approved_by IS NULL OR approved_by <> entered_by)
) STRICT;

-- Running sums per key and accounting month. Exact sums (10^-16) are 128-bit integers as text.
CREATE TABLE accumulator (
    partner_id INTEGER NOT NULL,
    agreement TEXT NOT NULL,
    term TEXT NOT NULL,
    period_from TEXT NOT NULL,
    period_to TEXT NOT NULL,
    part INTEGER NOT NULL,
    facet INTEGER NOT NULL,
    bucket TEXT NOT NULL,
    version INTEGER NOT NULL,
    sum0 TEXT NOT NULL,
    sum1 TEXT NOT NULL,
    sum2 TEXT NOT NULL,
    sum3 TEXT NOT NULL,
    line_count INTEGER NOT NULL,
    document_count INTEGER NOT NULL,
    PRIMARY KEY (partner_id, agreement, term, period_from, period_to, part, facet, bucket, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX accumulator_lost ON accumulator (partner_id) WHERE facet = 3;
-- Baselines of growth that stand: imported by a person, or frozen on their day. Late documents do not move them;
-- a rebuild keeps them. `figure` is exact, in units of 10^-16 of the measure; an empty term is the only growth term.
CREATE TABLE baseline (
    partner_id INTEGER NOT NULL,
    agreement TEXT NOT NULL,
    term TEXT NOT NULL,
    period_from TEXT NOT NULL,
    period_to TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('frozen', 'imported')),
    figure TEXT NOT NULL,
    recorded_on TEXT NOT NULL,
    PRIMARY KEY (partner_id, agreement, term, period_from, period_to, kind)
) STRICT, WITHOUT ROWID;
-- Which agreement, partner pairs accrue has to look at, and why.
CREATE TABLE dirty_key (
    partner_id INTEGER NOT NULL,
    agreement TEXT NOT NULL,
    reason TEXT NOT NULL,
    months TEXT NOT NULL,
    PRIMARY KEY (partner_id, agreement)
) STRICT;

-- What is due by the rules, as found on a business day. Append-only: the newest row of a key counts.
CREATE TABLE earned_figure (
    id INTEGER NOT NULL,
    partner_id INTEGER NOT NULL,
    agreement TEXT NOT NULL,
    version INTEGER NOT NULL,
    term TEXT NOT NULL,
    period_from TEXT NOT NULL,
    period_to TEXT NOT NULL,
    part INTEGER NOT NULL,
    currency TEXT NOT NULL,
    business_day TEXT NOT NULL,
    run_id INTEGER,
    qualifier_u INTEGER NOT NULL,
    base_u INTEGER NOT NULL,
    tier INTEGER,
    unrounded TEXT NOT NULL,
    earned_u INTEGER NOT NULL,
    free_goods_u INTEGER NOT NULL,
    PRIMARY KEY (id)
) STRICT;
CREATE INDEX earned_key ON earned_figure (partner_id, agreement, term, period_from, part);
-- The accrual ledger: append-only. A booking is the change of a rounded figure.
CREATE TABLE accrual_entry (
    id INTEGER NOT NULL,
    partner_id INTEGER NOT NULL,
    agreement TEXT NOT NULL,
    version INTEGER NOT NULL,
    term TEXT NOT NULL,
    period_from TEXT NOT NULL,
    period_to TEXT NOT NULL,
    part INTEGER NOT NULL,
    accounting_month TEXT NOT NULL,
    for_month TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('base', 'rate-adjustment', 'prior-period-adjustment', 'reversal', 'settlement', 'write-off')),
    amount_u INTEGER NOT NULL,
    currency TEXT NOT NULL,
    business_day TEXT NOT NULL,
    run_id INTEGER,
    settlement_id INTEGER,
    seq INTEGER NOT NULL,
    reason TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (id)
) STRICT;
-- An entry is the next one after those that its maker saw: two that were reckoned from the same state cannot both stand.
CREATE UNIQUE INDEX accrual_entry_key ON accrual_entry (partner_id, agreement, term, period_from, period_to, part, COALESCE(settlement_id, 0), seq);

CREATE TABLE accounting_period (
    first_day TEXT PRIMARY KEY,
    last_day TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'closed')),
    changed_by TEXT NOT NULL,
    reason TEXT,
    changed_at TEXT NOT NULL
) STRICT;

-- Settlements. The reference is unique for ever and never contains amount or revision.
CREATE TABLE settlement (
    id INTEGER PRIMARY KEY,
    agreement TEXT NOT NULL,
    payee TEXT NOT NULL,
    period_from TEXT NOT NULL,
    period_to TEXT NOT NULL,
    currency TEXT NOT NULL,
    number INTEGER NOT NULL,
    reference TEXT NOT NULL UNIQUE,
    amount_u INTEGER NOT NULL CHECK (amount_u > 0 OR state IN ('empty', 'rejected', 'withdrawn')),
    carried_forward_u INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('proposed', 'approved', 'sending', 'sent', 'unknown', 'confirmed', 'refused', 'rejected', 'withdrawn', 'empty')),
    revision INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    method TEXT NOT NULL,
    connector TEXT,
    maker TEXT NOT NULL,
    erp_document TEXT,
    business_day TEXT NOT NULL,
    reason TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (agreement, payee, period_from, period_to, currency, number)
) STRICT;
CREATE TABLE settlement_part (
    settlement_id INTEGER NOT NULL REFERENCES settlement (id),
    partner_id INTEGER NOT NULL,
    term TEXT NOT NULL,
    period_from TEXT NOT NULL,
    period_to TEXT NOT NULL,
    part INTEGER NOT NULL,
    amount_u INTEGER NOT NULL,
    PRIMARY KEY (settlement_id, partner_id, term, period_from, period_to, part)
) STRICT;
-- What was shown for approval, revision by revision: append-only.
CREATE TABLE settlement_revision (
    settlement_id INTEGER NOT NULL REFERENCES settlement (id),
    revision INTEGER NOT NULL,
    amount_u INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    snapshot BLOB NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (settlement_id, revision)
) STRICT;
CREATE TABLE approval (
    id INTEGER PRIMARY KEY,
    settlement_id INTEGER NOT NULL REFERENCES settlement (id),
    fingerprint TEXT NOT NULL,
    maker TEXT NOT NULL,
    approver TEXT NOT NULL,
    approved_at TEXT NOT NULL,
    void_reason TEXT,
    CHECK (approver <> maker)
) STRICT;
CREATE UNIQUE INDEX approval_once ON approval (settlement_id, fingerprint, approver) WHERE void_reason IS NULL;
CREATE TABLE memo_outbox (
    settlement_id INTEGER PRIMARY KEY REFERENCES settlement (id),
    reference TEXT NOT NULL UNIQUE,
    connector TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('planned', 'sent', 'unknown', 'confirmed', 'refused')),
    remote_id TEXT,
    erp_document TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before TEXT,
    last_answer TEXT,
    updated_at TEXT NOT NULL
) STRICT;
-- Memos that a source shows, for reconciliation by reference.
CREATE TABLE erp_memo (
    reference TEXT NOT NULL,
    document TEXT NOT NULL,
    memo_date TEXT,
    currency TEXT NOT NULL,
    amount_u INTEGER NOT NULL,
    status TEXT NOT NULL,
    archive_id INTEGER NOT NULL,
    PRIMARY KEY (reference, document)
) STRICT;

-- Statements and mail. One row per recipient, written before the first attempt.
CREATE TABLE statement (
    id INTEGER PRIMARY KEY,
    partner TEXT NOT NULL,
    period_from TEXT NOT NULL,
    period_to TEXT NOT NULL,
    revision INTEGER NOT NULL,
    figures TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    business_day TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (partner, period_from, period_to, revision)
) STRICT;
CREATE TABLE mail (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    statement_id INTEGER,
    partner_code TEXT NOT NULL,
    period_from TEXT NOT NULL,
    period_to TEXT NOT NULL,
    revision INTEGER NOT NULL,
    contact TEXT NOT NULL,
    message_id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('planned', 'sending', 'sent', 'later', 'uncertain', 'refused', 'bounced')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TEXT,
    last_answer TEXT,
    updated_at TEXT NOT NULL,
    UNIQUE (kind, partner_code, period_from, period_to, revision, contact)
) STRICT;

-- Runs: what has been done is decided by the stored keys.
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL,
    run_key TEXT NOT NULL,
    business_day TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('requested', 'running', 'finished', 'failed', 'abandoned')),
    attempt INTEGER NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_token INTEGER NOT NULL DEFAULT 0,
    lease_until TEXT,
    heartbeat_at TEXT,
    caught_up INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    program_version TEXT,
    requested_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT,
    UNIQUE (job, run_key)
) STRICT;
CREATE TABLE run_stage (
    run_id INTEGER NOT NULL REFERENCES run (id),
    attempt INTEGER NOT NULL,
    stage TEXT NOT NULL,
    count_in INTEGER NOT NULL,
    count_out INTEGER NOT NULL,
    exceptions INTEGER NOT NULL,
    detail TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT NOT NULL,
    PRIMARY KEY (run_id, attempt, stage)
) STRICT;
CREATE TABLE schedule_plan (
    job TEXT PRIMARY KEY,
    last_planned_key TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

-- People. Tokens are kept as hashes only.
CREATE TABLE app_user (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('admin', 'sales', 'finance-preparer', 'finance-approver', 'auditor', 'partner')),
    created_at TEXT NOT NULL,
    disabled_at TEXT
) STRICT;
CREATE TABLE user_token (
    id INTEGER PRIMARY KEY,
    user_name TEXT NOT NULL REFERENCES app_user (name),
    token_sha256 TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    revoked_at TEXT
) STRICT;
-- What a person was shown last of a settlement or an agreement: an approval is for that content.
CREATE TABLE shown (
    user_name TEXT NOT NULL REFERENCES app_user (name),
    subject TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    shown_at TEXT NOT NULL,
    PRIMARY KEY (user_name, subject)
) STRICT;
-- Audit trail: append-only, each row hashed over the one before.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    result TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;

CREATE TRIGGER archive_no_update BEFORE UPDATE ON archive
BEGIN SELECT RAISE(ABORT, 'archive is append-only'); END;
CREATE TRIGGER archive_no_delete BEFORE DELETE ON archive
BEGIN SELECT RAISE(ABORT, 'archive is append-only'); END;
CREATE TRIGGER archive_chunk_no_update BEFORE UPDATE ON archive_chunk
BEGIN SELECT RAISE(ABORT, 'archive_chunk is append-only'); END;
CREATE TRIGGER archive_chunk_no_delete BEFORE DELETE ON archive_chunk
BEGIN SELECT RAISE(ABORT, 'archive_chunk is append-only'); END;
CREATE TRIGGER accrual_entry_no_update BEFORE UPDATE ON accrual_entry
BEGIN SELECT RAISE(ABORT, 'accrual_entry is append-only'); END;
CREATE TRIGGER accrual_entry_no_delete BEFORE DELETE ON accrual_entry
BEGIN SELECT RAISE(ABORT, 'accrual_entry is append-only'); END;
CREATE TRIGGER earned_figure_no_update BEFORE UPDATE ON earned_figure
BEGIN SELECT RAISE(ABORT, 'earned_figure is append-only'); END;
CREATE TRIGGER earned_figure_no_delete BEFORE DELETE ON earned_figure
BEGIN SELECT RAISE(ABORT, 'earned_figure is append-only'); END;
CREATE TRIGGER settlement_revision_no_update BEFORE UPDATE ON settlement_revision
BEGIN SELECT RAISE(ABORT, 'settlement_revision is append-only'); END;
CREATE TRIGGER settlement_revision_no_delete BEFORE DELETE ON settlement_revision
BEGIN SELECT RAISE(ABORT, 'settlement_revision is append-only'); END;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;

-- Ordinary decimals for reporting tools.
-- Exact decimals as text: this database has no decimal type, and a division would give binary fractions.
CREATE VIEW report_accrual AS
SELECT e.id, p.code AS partner, e.agreement, e.version, e.term, e.period_from, e.period_to, e.accounting_month, e.for_month, e.kind,
       printf('%s%d.%06d', CASE WHEN e.amount_u < 0 THEN '-' ELSE '' END, abs(e.amount_u) / 1000000, abs(e.amount_u) % 1000000) AS amount, e.currency, e.business_day, e.reason
FROM accrual_entry e JOIN partner p ON p.id = e.partner_id;
CREATE VIEW report_settlement AS
SELECT s.id, s.agreement, s.payee, s.period_from, s.period_to, s.currency, s.reference, s.state,
       printf('%s%d.%06d', CASE WHEN s.amount_u < 0 THEN '-' ELSE '' END, abs(s.amount_u) / 1000000, abs(s.amount_u) % 1000000) AS amount, s.erp_document
FROM settlement s;
CREATE VIEW report_line AS
SELECT d.company, d.document_type, d.document_number, l.line_number, l.document_date, p.code AS partner, i.code AS item, l.line_kind,
       printf('%s%d.%06d', CASE WHEN l.quantity_u < 0 THEN '-' ELSE '' END, abs(l.quantity_u) / 1000000, abs(l.quantity_u) % 1000000) AS quantity, l.unit, printf('%s%d.%06d', CASE WHEN l.net_u < 0 THEN '-' ELSE '' END, abs(l.net_u) / 1000000, abs(l.net_u) % 1000000) AS net_amount, l.currency, d.status
FROM line l JOIN document d ON d.id = l.document_id JOIN partner p ON p.id = l.partner_id LEFT JOIN item i ON i.id = l.item_id
WHERE l.superseded = 0;
