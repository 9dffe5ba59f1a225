//! What is more than a label: names of periods, measures, states and reasons in four languages.

use super::numbers::day;
use super::words::Words;
use crate::core::agreement::{Measure, Method};
use crate::core::line::DocumentType;
use crate::core::period::Period;
use crate::core::statement::{CarryReason, Language, OpenReason};
use chrono::Datelike;

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
        let of_year = label.split_once('-').filter(|(year, _)| year.len() == 4);
        if let Some((year, part)) = of_year.filter(|(_, part)| part.starts_with(['Q', 'H', 'P'])) {
            return format!("{part} {year}");
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

    /// A credit memo's state as the partner reads it.
    pub fn state(&self, state: &str) -> &'static str {
        let [under_way, done] = match self.language {
            Language::En => ["under way", "credited"],
            Language::De => ["unterwegs", "gutgeschrieben"],
            Language::Es => ["en curso", "abonada"],
            Language::Fr => ["en cours", "crédité"],
        };
        if state == "confirmed" { done } else { under_way }
    }

    /// A document's type.
    pub const fn document_type(&self, kind: DocumentType) -> &'static str {
        match (self.language, kind) {
            (Language::En, DocumentType::Invoice) => "Invoice",
            (Language::En, DocumentType::CreditNote) => "Credit note",
            (Language::En, _) => "Document",
            (Language::De, DocumentType::Invoice) => "Rechnung",
            (Language::De, DocumentType::CreditNote) => "Gutschrift",
            (Language::De, _) => "Beleg",
            (Language::Es, DocumentType::Invoice) => "Factura",
            (Language::Es, DocumentType::CreditNote) => "Abono",
            (Language::Es, _) => "Documento",
            (Language::Fr, DocumentType::Invoice) => "Facture",
            (Language::Fr, DocumentType::CreditNote) => "Avoir",
            (Language::Fr, _) => "Document",
        }
    }

    /// What is open about a line.
    pub const fn open_reason(&self, reason: OpenReason) -> &'static str {
        match (self.language, reason) {
            (Language::En, OpenReason::Clarifying) => "we are clarifying it; it does not count yet",
            (Language::En, OpenReason::Item) => "the item is not known to us yet; it does not count yet",
            (Language::En, OpenReason::Rate) => "there is no exchange rate yet; it does not count yet",
            (Language::En, OpenReason::Unit) => "its unit cannot be converted yet; it does not count yet",
            (Language::En, OpenReason::Return) => "the invoice that it returns is not known to us; it counts on its own day",
            (Language::De, OpenReason::Clarifying) => "wir klären das; zählt noch nicht",
            (Language::De, OpenReason::Item) => "der Artikel ist uns noch nicht bekannt; zählt noch nicht",
            (Language::De, OpenReason::Rate) => "es gibt noch keinen Wechselkurs; zählt noch nicht",
            (Language::De, OpenReason::Unit) => "die Einheit lässt sich noch nicht umrechnen; zählt noch nicht",
            (Language::De, OpenReason::Return) => "die zurückgegebene Rechnung ist uns nicht bekannt; zählt am Tag des Belegs",
            (Language::Es, OpenReason::Clarifying) => "lo estamos aclarando; aún no cuenta",
            (Language::Es, OpenReason::Item) => "aún no conocemos el artículo; aún no cuenta",
            (Language::Es, OpenReason::Rate) => "aún no hay tipo de cambio; aún no cuenta",
            (Language::Es, OpenReason::Unit) => "su unidad aún no se puede convertir; aún no cuenta",
            (Language::Es, OpenReason::Return) => "no conocemos la factura que devuelve; cuenta en su propio día",
            (Language::Fr, OpenReason::Clarifying) => "nous clarifions ce point ; ne compte pas encore",
            (Language::Fr, OpenReason::Item) => "l’article ne nous est pas encore connu ; ne compte pas encore",
            (Language::Fr, OpenReason::Rate) => "il n’y a pas encore de taux de change ; ne compte pas encore",
            (Language::Fr, OpenReason::Unit) => "son unité ne peut pas encore être convertie ; ne compte pas encore",
            (Language::Fr, OpenReason::Return) => "la facture retournée ne nous est pas connue ; compte à sa propre date",
        }
    }

    /// Why something is carried forward.
    pub const fn carry(&self, reason: CarryReason) -> &'static str {
        match (self.language, reason) {
            (Language::En, CarryReason::NotDue) => "not due yet",
            (Language::En, CarryReason::BelowMinimum) => "below the smallest payment",
            (Language::En, CarryReason::Overpaid) => "overpaid, set off against later periods",
            (Language::En, CarryReason::Held) => "waits until the open points are clarified",
            (Language::En, CarryReason::InReview) => "being looked through, not released yet",
            (Language::En, CarryReason::InProgress) => "released, the credit memo follows",
            (Language::En, CarryReason::AccrueOnly) => "accrued only, not paid out",
            (Language::De, CarryReason::NotDue) => "noch nicht fällig",
            (Language::De, CarryReason::BelowMinimum) => "unter dem Mindestbetrag",
            (Language::De, CarryReason::Overpaid) => "überzahlt, wird mit späteren Zeiträumen verrechnet",
            (Language::De, CarryReason::Held) => "wartet, bis die offenen Punkte geklärt sind",
            (Language::De, CarryReason::InReview) => "in Prüfung, noch nicht freigegeben",
            (Language::De, CarryReason::InProgress) => "freigegeben, die Gutschrift folgt",
            (Language::De, CarryReason::AccrueOnly) => "nur abgegrenzt, keine Auszahlung",
            (Language::Es, CarryReason::NotDue) => "aún no exigible",
            (Language::Es, CarryReason::BelowMinimum) => "por debajo del pago mínimo",
            (Language::Es, CarryReason::Overpaid) => "pagado en exceso, se compensa en periodos posteriores",
            (Language::Es, CarryReason::Held) => "espera a que se aclaren los puntos abiertos",
            (Language::Es, CarryReason::InReview) => "en revisión, aún sin autorizar",
            (Language::Es, CarryReason::InProgress) => "autorizado, sigue la nota de crédito",
            (Language::Es, CarryReason::AccrueOnly) => "solo provisionado, sin pago",
            (Language::Fr, CarryReason::NotDue) => "pas encore exigible",
            (Language::Fr, CarryReason::BelowMinimum) => "sous le paiement minimal",
            (Language::Fr, CarryReason::Overpaid) => "trop-perçu, compensé sur les périodes suivantes",
            (Language::Fr, CarryReason::Held) => "en attente des points ouverts",
            (Language::Fr, CarryReason::InReview) => "en cours de vérification, pas encore validé",
            (Language::Fr, CarryReason::InProgress) => "validé, l’avoir suit",
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
        assert_eq!(name(Language::De, "2026-P03", "2026-02-22", "2026-03-28"), "P03 2026");
    }

    #[test]
    fn a_fiscal_month_that_is_no_calendar_month_shows_its_days() {
        assert_eq!(name(Language::De, "2026-06", "2026-06-15", "2026-07-14"), "15.06.2026 – 14.07.2026");
        assert_eq!(name(Language::En, "2026-06-03", "2026-06-03", "2026-06-03"), "3 Jun 2026");
    }
}
