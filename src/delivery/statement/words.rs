//! The words of a statement in four languages. A new language is one more table; the compiler
//! names every word that is missing.

use super::numbers::day;
use crate::core::agreement::{Measure, Method};
use crate::core::period::Period;
use crate::core::statement::{CarryReason, Language};
use chrono::Datelike;
use serde::Serialize;

/// All labels. Templates reach them by name.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs)]
pub struct Words {
    #[serde(skip)]
    pub language: Language,
    pub code: &'static str,
    pub title: &'static str,
    pub file: &'static str,
    pub greeting: &'static str,
    pub intro: &'static str,
    pub attached: &'static str,
    pub regards: &'static str,
    pub partner: &'static str,
    pub period_label: &'static str,
    pub revision: &'static str,
    pub as_of: &'static str,
    pub agreement: &'static str,
    pub version: &'static str,
    pub term: &'static str,
    pub accumulation: &'static str,
    pub qualifier: &'static str,
    pub of_all_partners: &'static str,
    pub base: &'static str,
    pub tier: &'static str,
    pub tier_from: &'static str,
    pub tier_pays: &'static str,
    pub no_tier: &'static str,
    pub next_tier: &'static str,
    pub missing: &'static str,
    pub top_tier: &'static str,
    pub earned_in_period: &'static str,
    pub earned: &'static str,
    pub booked: &'static str,
    pub settled: &'static str,
    pub open: &'static str,
    pub total: &'static str,
    pub settlements: &'static str,
    pub reference: &'static str,
    pub credit_memo: &'static str,
    pub amount: &'static str,
    pub state: &'static str,
    pub exceptions: &'static str,
    pub subject: &'static str,
    pub lines: &'static str,
    pub document: &'static str,
    pub line: &'static str,
    pub date: &'static str,
    pub item: &'static str,
    pub description: &'static str,
    pub quantity: &'static str,
    pub unit: &'static str,
    pub net: &'static str,
    pub currency: &'static str,
    pub share: &'static str,
    pub in_period: &'static str,
    pub yes: &'static str,
    pub no: &'static str,
    pub summary: &'static str,
    pub recompute: &'static str,
    pub step: &'static str,
    pub result: &'static str,
    pub add_up: &'static str,
    pub multiply: &'static str,
    pub round: &'static str,
    pub adjusted: &'static str,
    pub change: &'static str,
    pub fixed: &'static str,
    pub nothing: &'static str,
    pub audit_head: &'static str,
}

const EN: Words = Words {
    language: Language::En,
    code: "en",
    title: "Rebate statement",
    file: "Statement",
    greeting: "Dear Sir or Madam,",
    intro: "below are the rebate figures of",
    attached: "The attached sheet lists every document line with its share and shows how to recompute each figure.",
    regards: "Kind regards",
    partner: "Partner",
    period_label: "Period",
    revision: "Revision",
    as_of: "Documents counted up to",
    agreement: "Agreement",
    version: "version",
    term: "Term",
    accumulation: "Accumulated over",
    qualifier: "Qualifying",
    of_all_partners: "all partners together",
    base: "Base",
    tier: "Tier reached",
    tier_from: "from",
    tier_pays: "pays",
    no_tier: "none yet",
    next_tier: "Next tier",
    missing: "still missing",
    top_tier: "highest tier reached",
    earned_in_period: "Earned in the period",
    earned: "Earned to date",
    booked: "Booked",
    settled: "Settled",
    open: "Carried forward",
    total: "Total",
    settlements: "Settlements",
    reference: "Reference",
    credit_memo: "Credit memo",
    amount: "Amount",
    state: "State",
    exceptions: "Open points",
    subject: "Subject",
    lines: "Lines",
    document: "Document",
    line: "Line",
    date: "Date",
    item: "Item",
    description: "Description",
    quantity: "Quantity",
    unit: "Unit",
    net: "Net amount",
    currency: "Currency",
    share: "Share of the rebate",
    in_period: "In the period",
    yes: "yes",
    no: "no",
    summary: "Summary",
    recompute: "How to recompute",
    step: "Step",
    result: "Result",
    add_up: "add up over the lines",
    multiply: "multiplied by",
    round: "rounded once, half away from zero",
    adjusted: "changed by caps, floors, earlier versions or sharing to",
    change: "less what was earned before the period",
    fixed: "fixed amount",
    nothing: "No agreement has figures for this period.",
    audit_head: "Audit chain head",
};

const DE: Words = Words {
    language: Language::De,
    code: "de",
    title: "Gutschriftsübersicht",
    file: "Abrechnung",
    greeting: "Sehr geehrte Damen und Herren,",
    intro: "nachstehend die Bonuszahlen von",
    attached: "Die angehängte Tabelle führt jede Belegzeile mit ihrem Anteil auf und zeigt, wie sich jede Zahl nachrechnen lässt.",
    regards: "Mit freundlichen Grüßen",
    partner: "Partner",
    period_label: "Zeitraum",
    revision: "Fassung",
    as_of: "Belege gezählt bis",
    agreement: "Vereinbarung",
    version: "Version",
    term: "Kondition",
    accumulation: "Aufsummiert über",
    qualifier: "Maßgeblich",
    of_all_partners: "alle Partner zusammen",
    base: "Basis",
    tier: "Erreichte Stufe",
    tier_from: "ab",
    tier_pays: "zahlt",
    no_tier: "noch keine",
    next_tier: "Nächste Stufe",
    missing: "es fehlen noch",
    top_tier: "höchste Stufe erreicht",
    earned_in_period: "Verdient im Zeitraum",
    earned: "Verdient bisher",
    booked: "Abgegrenzt",
    settled: "Abgerechnet",
    open: "Vorgetragen",
    total: "Summe",
    settlements: "Abrechnungen",
    reference: "Referenz",
    credit_memo: "Gutschrift",
    amount: "Betrag",
    state: "Status",
    exceptions: "Offene Punkte",
    subject: "Gegenstand",
    lines: "Belegzeilen",
    document: "Beleg",
    line: "Zeile",
    date: "Datum",
    item: "Artikel",
    description: "Bezeichnung",
    quantity: "Menge",
    unit: "Einheit",
    net: "Nettobetrag",
    currency: "Währung",
    share: "Anteil am Bonus",
    in_period: "Im Zeitraum",
    yes: "ja",
    no: "nein",
    summary: "Übersicht",
    recompute: "Nachrechnen",
    step: "Schritt",
    result: "Ergebnis",
    add_up: "über die Zeilen addieren",
    multiply: "multipliziert mit",
    round: "einmal gerundet, kaufmännisch",
    adjusted: "durch Grenzen, frühere Versionen oder Aufteilung geändert auf",
    change: "abzüglich des vor dem Zeitraum Verdienten",
    fixed: "fester Betrag",
    nothing: "Für diesen Zeitraum gibt es keine Zahlen.",
    audit_head: "Kopf der Prüfkette",
};

const ES: Words = Words {
    language: Language::Es,
    code: "es",
    title: "Resumen de bonificaciones",
    file: "Liquidación",
    greeting: "Estimados señores:",
    intro: "a continuación figuran las bonificaciones de",
    attached: "La hoja adjunta detalla cada línea con su parte y muestra cómo recalcular cada cifra.",
    regards: "Atentamente",
    partner: "Socio",
    period_label: "Periodo",
    revision: "Revisión",
    as_of: "Documentos contados hasta",
    agreement: "Acuerdo",
    version: "versión",
    term: "Condición",
    accumulation: "Acumulado en",
    qualifier: "Volumen de referencia",
    of_all_partners: "todos los socios juntos",
    base: "Base",
    tier: "Tramo alcanzado",
    tier_from: "desde",
    tier_pays: "paga",
    no_tier: "ninguno todavía",
    next_tier: "Tramo siguiente",
    missing: "faltan",
    top_tier: "tramo más alto alcanzado",
    earned_in_period: "Devengado en el periodo",
    earned: "Devengado hasta la fecha",
    booked: "Provisionado",
    settled: "Liquidado",
    open: "Pendiente",
    total: "Total",
    settlements: "Liquidaciones",
    reference: "Referencia",
    credit_memo: "Nota de crédito",
    amount: "Importe",
    state: "Estado",
    exceptions: "Puntos abiertos",
    subject: "Asunto",
    lines: "Líneas",
    document: "Documento",
    line: "Línea",
    date: "Fecha",
    item: "Artículo",
    description: "Descripción",
    quantity: "Cantidad",
    unit: "Unidad",
    net: "Importe neto",
    currency: "Moneda",
    share: "Parte de la bonificación",
    in_period: "En el periodo",
    yes: "sí",
    no: "no",
    summary: "Resumen",
    recompute: "Cómo recalcular",
    step: "Paso",
    result: "Resultado",
    add_up: "sumar las líneas",
    multiply: "multiplicado por",
    round: "redondeado una vez, el medio se aleja de cero",
    adjusted: "cambiado por límites, versiones anteriores o reparto a",
    change: "menos lo devengado antes del periodo",
    fixed: "importe fijo",
    nothing: "No hay cifras para este periodo.",
    audit_head: "Cabeza de la cadena de auditoría",
};

const FR: Words = Words {
    language: Language::Fr,
    code: "fr",
    title: "Relevé de remises",
    file: "Relevé",
    greeting: "Madame, Monsieur,",
    intro: "voici les remises de",
    attached: "La feuille jointe détaille chaque ligne avec sa part et montre comment recalculer chaque chiffre.",
    regards: "Cordialement",
    partner: "Partenaire",
    period_label: "Période",
    revision: "Révision",
    as_of: "Documents comptés jusqu’au",
    agreement: "Accord",
    version: "version",
    term: "Condition",
    accumulation: "Cumulé sur",
    qualifier: "Volume retenu",
    of_all_partners: "tous les partenaires ensemble",
    base: "Base",
    tier: "Palier atteint",
    tier_from: "à partir de",
    tier_pays: "donne",
    no_tier: "aucun pour l’instant",
    next_tier: "Palier suivant",
    missing: "il manque",
    top_tier: "palier le plus haut atteint",
    earned_in_period: "Acquis sur la période",
    earned: "Acquis à ce jour",
    booked: "Provisionné",
    settled: "Réglé",
    open: "Reporté",
    total: "Total",
    settlements: "Règlements",
    reference: "Référence",
    credit_memo: "Avoir",
    amount: "Montant",
    state: "État",
    exceptions: "Points ouverts",
    subject: "Objet",
    lines: "Lignes",
    document: "Document",
    line: "Ligne",
    date: "Date",
    item: "Article",
    description: "Désignation",
    quantity: "Quantité",
    unit: "Unité",
    net: "Montant net",
    currency: "Devise",
    share: "Part de la remise",
    in_period: "Sur la période",
    yes: "oui",
    no: "non",
    summary: "Synthèse",
    recompute: "Comment recalculer",
    step: "Étape",
    result: "Résultat",
    add_up: "additionner les lignes",
    multiply: "multiplié par",
    round: "arrondi une fois, la moitié s’éloigne de zéro",
    adjusted: "modifié par plafonds, versions antérieures ou partage à",
    change: "moins l’acquis avant la période",
    fixed: "montant fixe",
    nothing: "Aucun chiffre pour cette période.",
    audit_head: "Tête de la chaîne d’audit",
};

const MONTHS: [(Language, [&str; 12]); 4] = [
    (
        Language::En,
        [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ],
    ),
    (
        Language::De,
        ["Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"],
    ),
    (
        Language::Es,
        [
            "enero",
            "febrero",
            "marzo",
            "abril",
            "mayo",
            "junio",
            "julio",
            "agosto",
            "septiembre",
            "octubre",
            "noviembre",
            "diciembre",
        ],
    ),
    (
        Language::Fr,
        ["janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"],
    ),
];

impl Words {
    /// The table of a language.
    pub const fn of(language: Language) -> &'static Words {
        match language {
            Language::En => &EN,
            Language::De => &DE,
            Language::Es => &ES,
            Language::Fr => &FR,
        }
    }

    /// A period's name for people: `Juni 2026`, `Q1 2026`, `2026`, else its two days. Months are
    /// named only where they are calendar months; a fiscal month from the 15th shows its days.
    pub fn period(&self, label: &str, period: Period) -> String {
        let year_and = |part: &str| label.split_once('-').is_some_and(|(y, p)| y.len() == 4 && p == part);
        let month = period.from.month();
        if year_and(&format!("{month:02}")) && period.from.day() == 1 {
            let name = MONTHS.iter().find(|(l, _)| *l == self.language).and_then(|(_, names)| names.get(month as usize - 1));
            let joint = if self.language == Language::Es { " de " } else { " " };
            return format!("{}{joint}{}", name.copied().unwrap_or(""), period.from.year());
        }
        if label.len() == 4 && label.bytes().all(|b| b.is_ascii_digit()) {
            return label.to_owned();
        }
        for part in ["Q1", "Q2", "Q3", "Q4", "H1", "H2"] {
            if year_and(part) {
                return format!("{part} {}", &label[..4]);
            }
        }
        if period.from == period.to {
            return day(self.language, period.from);
        }
        format!("{} – {}", day(self.language, period.from), day(self.language, period.to))
    }

    /// A measure's name.
    pub const fn measure(&self, measure: Measure) -> &'static str {
        match (self.language, measure) {
            (Language::En, Measure::NetAmount) => "net amount",
            (Language::En, Measure::GrossAmount) => "gross amount",
            (Language::En, Measure::Quantity) => "quantity",
            (Language::En, Measure::Weight) => "weight",
            (Language::En, Measure::Margin) => "margin",
            (Language::En, Measure::DocumentCount) => "number of documents",
            (Language::De, Measure::NetAmount) => "Nettobetrag",
            (Language::De, Measure::GrossAmount) => "Bruttobetrag",
            (Language::De, Measure::Quantity) => "Menge",
            (Language::De, Measure::Weight) => "Gewicht",
            (Language::De, Measure::Margin) => "Marge",
            (Language::De, Measure::DocumentCount) => "Anzahl der Belege",
            (Language::Es, Measure::NetAmount) => "importe neto",
            (Language::Es, Measure::GrossAmount) => "importe bruto",
            (Language::Es, Measure::Quantity) => "cantidad",
            (Language::Es, Measure::Weight) => "peso",
            (Language::Es, Measure::Margin) => "margen",
            (Language::Es, Measure::DocumentCount) => "número de documentos",
            (Language::Fr, Measure::NetAmount) => "montant net",
            (Language::Fr, Measure::GrossAmount) => "montant brut",
            (Language::Fr, Measure::Quantity) => "quantité",
            (Language::Fr, Measure::Weight) => "poids",
            (Language::Fr, Measure::Margin) => "marge",
            (Language::Fr, Measure::DocumentCount) => "nombre de documents",
        }
    }

    /// How the ladder pays.
    pub const fn method(&self, method: Method) -> &'static str {
        match (self.language, method) {
            (Language::En, Method::Retrospective) => "the tier reached pays on everything",
            (Language::En, Method::Marginal) => "each tier pays on its own slice",
            (Language::De, Method::Retrospective) => "die erreichte Stufe zahlt auf alles",
            (Language::De, Method::Marginal) => "jede Stufe zahlt auf ihren Teil",
            (Language::Es, Method::Retrospective) => "el tramo alcanzado paga sobre todo",
            (Language::Es, Method::Marginal) => "cada tramo paga sobre su parte",
            (Language::Fr, Method::Retrospective) => "le palier atteint s’applique à tout",
            (Language::Fr, Method::Marginal) => "chaque palier s’applique à sa tranche",
        }
    }

    /// A settlement's state as the partner reads it; words that are not known stay as they are.
    pub fn state<'a>(&self, state: &'a str) -> &'a str {
        let [proposed, approved, under_way, done, refused] = match self.language {
            Language::En => ["proposed", "approved", "under way", "credited", "being clarified"],
            Language::De => ["vorgeschlagen", "freigegeben", "unterwegs", "gutgeschrieben", "in Klärung"],
            Language::Es => ["propuesta", "aprobada", "en curso", "abonada", "en aclaración"],
            Language::Fr => ["proposé", "approuvé", "en cours", "crédité", "en clarification"],
        };
        match state {
            "proposed" => proposed,
            "approved" => approved,
            "sending" | "planned" | "sent" | "unknown" => under_way,
            "confirmed" => done,
            "refused" => refused,
            other => other,
        }
    }

    /// Why something is carried forward.
    pub const fn carry(&self, reason: CarryReason) -> &'static str {
        match (self.language, reason) {
            (Language::En, CarryReason::NotDue) => "not due yet",
            (Language::En, CarryReason::BelowMinimum) => "below the smallest payment",
            (Language::En, CarryReason::Overpaid) => "overpaid, set off against later periods",
            (Language::En, CarryReason::Held) => "held by an open point",
            (Language::En, CarryReason::InProgress) => "being settled",
            (Language::En, CarryReason::AccrueOnly) => "accrued only, not paid out",
            (Language::De, CarryReason::NotDue) => "noch nicht fällig",
            (Language::De, CarryReason::BelowMinimum) => "unter dem Mindestbetrag",
            (Language::De, CarryReason::Overpaid) => "überzahlt, wird mit späteren Zeiträumen verrechnet",
            (Language::De, CarryReason::Held) => "durch einen offenen Punkt angehalten",
            (Language::De, CarryReason::InProgress) => "in Abrechnung",
            (Language::De, CarryReason::AccrueOnly) => "nur abgegrenzt, keine Auszahlung",
            (Language::Es, CarryReason::NotDue) => "aún no exigible",
            (Language::Es, CarryReason::BelowMinimum) => "por debajo del pago mínimo",
            (Language::Es, CarryReason::Overpaid) => "pagado en exceso, se compensa en periodos posteriores",
            (Language::Es, CarryReason::Held) => "retenido por un punto abierto",
            (Language::Es, CarryReason::InProgress) => "en liquidación",
            (Language::Es, CarryReason::AccrueOnly) => "solo provisionado, sin pago",
            (Language::Fr, CarryReason::NotDue) => "pas encore exigible",
            (Language::Fr, CarryReason::BelowMinimum) => "sous le paiement minimal",
            (Language::Fr, CarryReason::Overpaid) => "trop-perçu, compensé sur les périodes suivantes",
            (Language::Fr, CarryReason::Held) => "retenu par un point ouvert",
            (Language::Fr, CarryReason::InProgress) => "en cours de règlement",
            (Language::Fr, CarryReason::AccrueOnly) => "provisionné seulement, sans paiement",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(language: Language, label: &str, from: &str, to: &str) -> String {
        Words::of(language).period(label, Period::new(from.parse().unwrap(), to.parse().unwrap()).unwrap())
    }

    #[test]
    fn periods_have_names_in_each_language() {
        assert_eq!(name(Language::De, "2026-06", "2026-06-01", "2026-06-30"), "Juni 2026");
        assert_eq!(name(Language::Es, "2026-06", "2026-06-01", "2026-06-30"), "junio de 2026");
        assert_eq!(name(Language::Fr, "2026-08", "2026-08-01", "2026-08-31"), "août 2026");
        assert_eq!(name(Language::En, "2026-Q1", "2026-01-01", "2026-03-31"), "Q1 2026");
        assert_eq!(name(Language::En, "2026", "2026-01-01", "2026-12-31"), "2026");
    }

    #[test]
    fn a_fiscal_month_that_is_no_calendar_month_shows_its_days() {
        assert_eq!(name(Language::De, "2026-06", "2026-06-15", "2026-07-14"), "15.06.2026 – 14.07.2026");
        assert_eq!(name(Language::En, "2026-06-03", "2026-06-03", "2026-06-03"), "3 Jun 2026");
    }
}
