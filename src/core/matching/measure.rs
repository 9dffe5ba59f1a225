//! One line's figures in an agreement's terms: converted amounts and quantities, shares of
//! document discounts, and why a line has no figure.
//!
//! Conversions are exact and never fall back to one: what cannot be converted is refused.

use super::compiled::{ByItem, CompiledTerm, Gauge, ItemOnDay, Test, Version};
use super::sums::facet;
use crate::core::agreement::{Measure, UnitMatch};
use crate::core::line::{Line, LineKind};
use crate::core::master_data::{MasterData, Ratio, rate_on};
use crate::core::money::Currency;
use crate::core::number::{Exact, Factor, Micros};
use chrono::NaiveDate;
use std::cmp::Ordering;

/// Why a line does not count for a term.
pub(super) enum Refusal<'m> {
    NotMember,
    NotValid,
    OriginalOutside,
    OutsidePeriod,
    NoFiscalMonth(NaiveDate),
    TermNotInVersion,
    RebateExcluded,
    DocumentType,
    Kind,
    NotSelected(&'m Test),
    Excepted,
    Unpaid,
    PaidElsewhere,
    OtherUnit,
    Spread,
    DiscountWithoutGoods,
    NoRate { from: Currency, to: Currency, on: NaiveDate, max_age_days: u32 },
    NoConversion { to: Box<str>, on: NaiveDate },
    NoWeight,
    NoGross,
    NoCost,
    TooLarge,
    NoPart,
}

impl Refusal<'_> {
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NotMember => "not-a-member",
            Refusal::NotValid => "not-valid",
            Refusal::OriginalOutside => "original-outside",
            Refusal::OutsidePeriod => "outside-period",
            Refusal::NoFiscalMonth(_) => "no-fiscal-month",
            Refusal::TermNotInVersion => "term-not-in-version",
            Refusal::RebateExcluded => "rebate-excluded",
            Refusal::DocumentType => "document-type",
            Refusal::Kind => "line-kind",
            Refusal::NotSelected(_) => "not-selected",
            Refusal::Excepted => "excepted",
            Refusal::Unpaid => "unpaid",
            Refusal::PaidElsewhere => "paid-in-another-period",
            Refusal::OtherUnit => "other-unit",
            Refusal::Spread => "spread-over-goods",
            Refusal::DiscountWithoutGoods => "discount-without-goods",
            Refusal::NoRate { .. } => "no-rate",
            Refusal::NoConversion { .. } => "no-conversion",
            Refusal::NoWeight => "no-weight",
            Refusal::NoGross => "no-gross-amount",
            Refusal::NoCost => "no-cost",
            Refusal::TooLarge => "figure-too-large",
            Refusal::NoPart => "not-in-mix",
        }
    }
    /// Whether a person has to decide before settlements of the agreement may go out.
    pub fn blocks(&self) -> bool {
        matches!(
            self,
            Refusal::NoFiscalMonth(_)
                | Refusal::DiscountWithoutGoods
                | Refusal::NoRate { .. }
                | Refusal::NoConversion { .. }
                | Refusal::NoWeight
                | Refusal::NoGross
                | Refusal::NoCost
                | Refusal::TooLarge
        )
    }
    /// The reason for people, a lowercase fragment.
    pub fn reason(&self, line: &Line, term: &str) -> String {
        match self {
            Refusal::NotMember => "the partner does not take part on that day".to_owned(),
            Refusal::NotValid => format!("the agreement has no version in force on {}", line.document_date),
            Refusal::OriginalOutside => "the invoice it refers to lies outside the agreement".to_owned(),
            Refusal::OutsidePeriod => "its day lies outside the agreement's validity".to_owned(),
            Refusal::NoFiscalMonth(day) => format!("the fiscal calendar has no month for {day}"),
            Refusal::TermNotInVersion => format!("the version in force has no term `{term}`"),
            Refusal::RebateExcluded => "the line is flagged as excluded from rebates".to_owned(),
            Refusal::DocumentType => format!("the term does not count documents of type {}", line.document_type),
            Refusal::Kind => format!("the term does not count lines of kind {}", line.line_kind),
            Refusal::NotSelected(test) => format!("{} is not one of {}", test.name, test.values.join(", ")),
            Refusal::Excepted => "the term's exceptions take it out".to_owned(),
            Refusal::Unpaid => "it is not fully paid".to_owned(),
            Refusal::PaidElsewhere => "it was not paid in the period in which it was posted".to_owned(),
            Refusal::OtherUnit => format!("its unit {} is not the term's and the term does not convert", line.unit),
            Refusal::Spread => "it is a document discount and counts as part of the document's goods lines".to_owned(),
            Refusal::DiscountWithoutGoods => "the document has no goods lines that could carry the discount".to_owned(),
            Refusal::NoRate { from, to, on, max_age_days } => {
                format!("no rate from {from} to {to} on {on} or at most {max_age_days} days before")
            }
            Refusal::NoConversion { to, on } => format!("no conversion from unit `{}` to `{to}` on {on}", line.unit),
            Refusal::NoWeight => "the item has no weight or base unit on that day".to_owned(),
            Refusal::NoGross => "the line has no gross amount".to_owned(),
            Refusal::NoCost => "the line has no cost amount".to_owned(),
            Refusal::NoPart => "neither the share nor the base nor a minimum of the mix takes it".to_owned(),
            Refusal::TooLarge => format!(
                "its figure in the term's unit or currency is past {}: check quantity {} {}, amount {} and the factors",
                Micros(i64::MAX).to_text(0),
                line.quantity,
                line.unit,
                line.net_amount
            ),
        }
    }
}

/// What discounts of a document add up to.
#[derive(Clone, Copy)]
enum Sum {
    Of(Micros),
    /// A discount line does not name the amount.
    Absent,
    TooLarge,
}

impl Sum {
    fn add(self, amount: Option<Micros>) -> Self {
        match (self, amount) {
            (Sum::Of(sum), Some(amount)) => sum.checked_add(amount).map_or(Sum::TooLarge, Sum::Of),
            (Sum::TooLarge, _) => Sum::TooLarge,
            _ => Sum::Absent,
        }
    }
}

/// Document discounts of one document and how they spread over its goods lines by net amount.
pub(super) struct Discount {
    currency: Currency,
    net: Sum,
    gross: Sum,
    goods_net: i128,
    /// By goods line: its id and the goods' net amount before and after it, in line order.
    steps: Vec<(i64, i128, i128)>,
}

/// Where a line stands among others: document date, document number, line number, line id.
pub type LinePlace<'a> = (NaiveDate, &'a str, &'a str, i64);

/// The order in which lines of a period stand.
pub fn compare_lines(a: LinePlace<'_>, b: LinePlace<'_>) -> Ordering {
    (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| compare_line_numbers(a.2, b.2)).then(a.3.cmp(&b.3))
}

/// Line numbers in the order of people: 2 before 10, digits before letters.
pub fn compare_line_numbers(a: &str, b: &str) -> Ordering {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(x), Ok(y)) => x.cmp(&y).then_with(|| a.cmp(b)),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

impl Discount {
    /// The discounts of a document; `None` when it has none.
    pub fn of(lines: &[Line]) -> Option<Self> {
        let first = lines.iter().find(|l| l.line_kind == LineKind::Discount)?;
        let currency = first.currency;
        let discounts = || lines.iter().filter(|l| l.line_kind == LineKind::Discount && l.currency == currency);
        let mut goods: Vec<&Line> = lines.iter().filter(|l| l.line_kind == LineKind::Goods && l.currency == currency).collect();
        goods.sort_by(|a, b| compare_line_numbers(&a.line_number, &b.line_number).then(a.id.cmp(&b.id)));
        let mut total = 0i128;
        let mut steps = Vec::with_capacity(goods.len());
        for line in goods {
            let before = total;
            total += i128::from(line.net_amount.0);
            steps.push((line.id, before, total));
        }
        Some(Discount {
            currency,
            net: discounts().fold(Sum::Of(Micros::ZERO), |sum, l| sum.add(Some(l.net_amount))),
            gross: discounts().fold(Sum::Of(Micros::ZERO), |sum, l| sum.add(l.gross_amount)),
            goods_net: total,
            steps,
        })
    }
    /// Whether the discount line finds goods to go with.
    pub fn spreads(&self, line: &Line) -> bool {
        line.currency == self.currency && self.goods_net != 0
    }
    /// The part of an amount that goes with a goods line, in the agreement's currency. The parts of
    /// all goods lines add up exactly.
    fn share(&self, line: &Line, amount: Sum, rate: Factor) -> Result<Exact, Refusal<'static>> {
        let whole = match amount {
            Sum::Of(amount) => amount.times(rate),
            Sum::Absent => return Ok(Exact::ZERO),
            Sum::TooLarge => return Err(Refusal::TooLarge),
        };
        if self.goods_net == 0 {
            return Ok(Exact::ZERO);
        }
        let Some((_, before, after)) = self.steps.iter().find(|s| s.0 == line.id) else { return Ok(Exact::ZERO) };
        let upto = |part: i128| whole.checked_share(Exact(part), Exact(self.goods_net)).ok_or(Refusal::TooLarge);
        add(upto(*after)?, -upto(*before)?)
    }
}

fn add(a: Exact, b: Exact) -> Result<Exact, Refusal<'static>> {
    a.checked_add(b).ok_or(Refusal::TooLarge)
}

/// What the measures of one line need.
pub(super) struct Measuring<'a> {
    pub version: &'a Version,
    pub master: &'a MasterData,
    pub line: &'a Line,
    pub discount: Option<&'a Discount>,
    /// Day that places the line.
    pub day: NaiveDate,
    /// Day whose rates and unit factors hold: the original's for returns.
    pub conversion_day: NaiveDate,
}

/// A measured line.
pub(super) struct Measured {
    pub qualifier: Exact,
    pub base: Exact,
    pub whole: Exact,
    /// Figures for other sums, by facet.
    pub sides: Vec<(i64, Exact)>,
    /// Whether an exchange rate or unit factor was used.
    pub converted: bool,
}

impl Measured {
    /// A line that is not measured.
    pub const NOTHING: Self =
        Self { qualifier: Exact::ZERO, base: Exact::ZERO, whole: Exact::ZERO, sides: Vec::new(), converted: false };
}

impl Measuring<'_> {
    pub fn measure(&self, term: &CompiledTerm, item: Option<&ItemOnDay<'_>>) -> Result<Measured, Refusal<'static>> {
        let mut converted = false;
        if !term.is_plain() {
            return self.parts(term, item);
        }
        let qualifier = self.value(term, &term.qualifier, &mut converted)?;
        let base = if term.base == term.qualifier { qualifier } else { self.value(term, &term.base, &mut converted)? };
        Ok(Measured { qualifier, base, whole: Exact::ZERO, sides: Vec::new(), converted })
    }

    /// A line may be in some parts of a term and not in others.
    fn parts(&self, term: &CompiledTerm, item: Option<&ItemOnDay<'_>>) -> Result<Measured, Refusal<'static>> {
        let mut converted = false;
        let mut taken = false;
        let mut figure = |takes: bool, gauge: &Gauge| -> Result<Exact, Refusal<'static>> {
            taken |= takes;
            if takes { self.value(term, gauge, &mut converted) } else { Ok(Exact::ZERO) }
        };
        let qualifier = figure(term.qualifies(self.line, item), &term.qualifier)?;
        let base = figure(term.pays_on(self.line, item), &term.base)?;
        let whole = match &term.whole {
            Some(whole) => figure(whole.takes(self.line, item), &whole.gauge)?,
            None => Exact::ZERO,
        };
        let mut sides = Vec::new();
        for side in &term.sides {
            if side.takes(self.line, item) {
                sides.push((side.facet, figure(true, &side.gauge)?));
            }
        }
        let known = self.line.item_id.and_then(|id| self.master.item(id));
        match (term.by_item, known) {
            (Some(ByItem::Base), Some(known)) => sides.push((facet::item(known.id), base)),
            (Some(ByItem::Items), Some(known)) => sides.push((facet::item(known.id), qualifier)),
            (Some(ByItem::Categories), Some(known)) => {
                let fact = self.master.item_fact(known, self.day);
                if let Some(path) = fact.and_then(|f| f.category.as_deref()) {
                    sides.push((facet::category(path), qualifier));
                }
            }
            // Lines without an item are one item of their own.
            (Some(ByItem::Base), None) => sides.push((facet::NO_ITEM, base)),
            _ => {}
        }
        if taken { Ok(Measured { qualifier, base, whole, sides, converted }) } else { Err(Refusal::NoPart) }
    }

    fn value(&self, term: &CompiledTerm, gauge: &Gauge, converted: &mut bool) -> Result<Exact, Refusal<'static>> {
        let line = self.line;
        let spread = self.discount.filter(|_| term.spreads_discounts() && line.line_kind == LineKind::Goods);
        let discount = |rate, of: fn(&Discount) -> Sum| spread.map_or(Ok(Exact::ZERO), |d| d.share(line, of(d), rate));
        let figure = match gauge.measure {
            Measure::NetAmount => {
                let rate = self.rate(converted)?;
                add(line.net_amount.times(rate), discount(rate, |d| d.net)?)?
            }
            Measure::GrossAmount => {
                let rate = self.rate(converted)?;
                let gross = line.gross_amount.ok_or(Refusal::NoGross)?;
                add(gross.times(rate), discount(rate, |d| d.gross)?)?
            }
            Measure::Margin => {
                let rate = self.rate(converted)?;
                let cost = line.cost_amount.ok_or(Refusal::NoCost)?;
                add(add(line.net_amount.times(rate), -cost.times(rate))?, discount(rate, |d| d.net)?)?
            }
            Measure::Quantity => match gauge.unit.as_deref() {
                None => line.quantity.exact(),
                Some(unit) if unit == &*line.unit => line.quantity.exact(),
                Some(_) if term.unit_match == UnitMatch::Exact => return Err(Refusal::OtherUnit),
                Some(unit) => self.ratio(unit, converted)?.apply(line.quantity).ok_or(Refusal::TooLarge)?,
            },
            Measure::Weight => {
                let item = line.item_id.and_then(|id| self.master.item(id)).ok_or(Refusal::NoWeight)?;
                let fact = self.master.item_fact(item, self.conversion_day).ok_or(Refusal::NoWeight)?;
                let weight = fact.weight.ok_or(Refusal::NoWeight)?;
                let base_unit = fact.base_unit.as_deref().ok_or(Refusal::NoWeight)?;
                self.ratio(base_unit, converted)?.apply_weight(line.quantity, weight).ok_or(Refusal::TooLarge)?
            }
            // Counted per document, not per line.
            Measure::DocumentCount => Exact::ZERO,
        };
        // What one line may add is what a figure may be: a thousand million such lines still sum up.
        figure.checked_micros().map(|_| figure).ok_or(Refusal::TooLarge)
    }

    fn rate(&self, converted: &mut bool) -> Result<Factor, Refusal<'static>> {
        let (from, source) = (self.line.currency, &self.version.source);
        if from == source.currency {
            return Ok(Factor::ONE);
        }
        *converted = true;
        let series = self.version.rates.iter().find(|(currency, _)| *currency == from);
        series.and_then(|(_, series)| rate_on(series, self.conversion_day, source.exchange.max_age_days)).ok_or(Refusal::NoRate {
            from,
            to: source.currency,
            on: self.conversion_day,
            max_age_days: source.exchange.max_age_days,
        })
    }

    fn ratio(&self, to: &str, converted: &mut bool) -> Result<Ratio, Refusal<'static>> {
        if *to == *self.line.unit {
            return Ok(Ratio::ONE);
        }
        *converted = true;
        self.master
            .ratio(self.line.item_id, &self.line.unit, to, self.conversion_day)
            .ok_or_else(|| Refusal::NoConversion { to: to.into(), on: self.conversion_day })
    }
}
