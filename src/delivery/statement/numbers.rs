//! Numbers and dates as people write them, made from exact text without ever becoming floats.

use crate::core::agreement::Benefit;
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::recipe_text::shortened;
use crate::core::statement::Language;
use chrono::NaiveDate;

/// Decimal mark and thousands separator. The French one is the narrow no-break space.
const fn marks(language: Language) -> (char, char) {
    match language {
        Language::En => ('.', ','),
        Language::De | Language::Es => (',', '.'),
        Language::Fr => (',', '\u{202f}'),
    }
}

/// Plain decimal text (`-1234.50`) in the language's form (`-1.234,50`).
pub fn localized(language: Language, plain: &str) -> String {
    let (decimal, group) = marks(language);
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let mut text = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            text.push(group);
        }
        text.push(digit);
    }
    if let Some(fraction) = fraction {
        text.push(decimal);
        text.push_str(fraction);
    }
    text
}

/// An amount with the currency's decimals and code: `1.234,50 EUR`.
pub fn money(language: Language, currency: Currency, amount: Micros) -> String {
    format!("{}\u{a0}{currency}", localized(language, &currency.amount_text(amount)))
}

/// A quantity or other figure, as many decimals as it has.
pub fn figure(language: Language, value: Micros) -> String {
    localized(language, &value.to_text(0))
}

/// An exact figure; one without an end is cut where no pocket calculator shows more.
pub fn figure_text(language: Language, plain: &str) -> String {
    let shown = shortened(plain);
    match shown.strip_suffix('…') {
        Some(cut) => format!("{}…", localized(language, cut)),
        None => localized(language, &shown),
    }
}

/// A day: `30 Jun 2026`, `30.06.2026`, `30/06/2026`. English spells the month, since the two
/// sides of the Atlantic read digits differently.
pub fn day(language: Language, day: NaiveDate) -> String {
    let format = match language {
        Language::En => "%-d %b %Y",
        Language::De => "%d.%m.%Y",
        Language::Es | Language::Fr => "%d/%m/%Y",
    };
    day.format(format).to_string()
}

/// What a tier pays: `3,5 %`, `1,50 EUR / EA`.
pub fn benefit(language: Language, currency: Currency, unit: Option<&str>, benefit: &Benefit) -> String {
    let unit = unit.unwrap_or("1");
    match benefit {
        Benefit::Rate(rate) => {
            let percent = rate.to_percent();
            let digits = localized(language, percent.trim_end_matches('%'));
            if language == Language::En { format!("{digits}%") } else { format!("{digits}\u{a0}%") }
        }
        // Prices per unit may be finer than the currency's minor unit.
        Benefit::PerUnit(price) => {
            format!("{}\u{a0}{currency} / {unit}", localized(language, &price.to_text(currency.minor_digits())))
        }
        Benefit::Amount(amount) => money(language, currency, *amount),
        Benefit::PerIncrement { every, amount, started, .. } => {
            let sign = if *started { "≤" } else { "" };
            format!("{} / {sign}{} {unit}", money(language, currency, *amount), figure(language, *every))
        }
        Benefit::FreeGoods { every, quantity, .. } => {
            format!("{} {unit} (0.00) / {} {unit}", figure(language, *quantity), figure(language, *every))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn amounts_keep_every_digit_in_every_language() {
        let amount = Micros::parse("-1234567890.50").unwrap();
        let eur = Currency::parse("EUR").unwrap();
        assert_eq!(money(Language::De, eur, amount), "-1.234.567.890,50\u{a0}EUR");
        assert_eq!(money(Language::En, eur, amount), "-1,234,567,890.50\u{a0}EUR");
        assert_eq!(money(Language::Fr, eur, amount), "-1\u{202f}234\u{202f}567\u{202f}890,50\u{a0}EUR");
        assert_eq!(money(Language::De, Currency::parse("JPY").unwrap(), Micros::parse("1000").unwrap()), "1.000\u{a0}JPY");
        assert_eq!(figure(Language::En, Micros::parse("999.125").unwrap()), "999.125");
    }

    #[test]
    fn days_cannot_be_misread() {
        let date: NaiveDate = "2026-07-01".parse().unwrap();
        assert_eq!(day(Language::En, date), "1 Jul 2026");
        assert_eq!(day(Language::De, date), "01.07.2026");
    }
}
