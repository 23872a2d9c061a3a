//! Shares of something: percentages, and what may stand in their place.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{IntOrText, Size, WrongForm, int_or_text_with_rule};

const SHARE_FORM: &str = "must be a whole number such as 1, or a percentage such as 25%";
const PERCENT_FORM: &str = "must be a percentage of at least 1% such as 70%";
const PERCENT_OR_SIZE_FORM: &str = "must be a percentage such as 80%, or a whole number with the binary unit K, M or G such as 300M; without \
     the unit it could mean percent or bytes";

notation!(
    /// A whole number, or a percentage.
    IntOrPercent,
    int_or_text_with_rule("type(self) == int ? self >= 0 : self.matches('^[0-9]{1,3}%$')", SHARE_FORM)
);

notation!(
    /// A percentage above zero; it may be above 100.
    Percent,
    int_or_text_with_rule("type(self) == int ? self > 0 : self.matches('^[1-9][0-9]{0,3}%$')", PERCENT_FORM)
);
notation!(
    /// A percentage above zero, or a size with its binary unit.
    PercentOrSize,
    int_or_text_with_rule(
        "type(self) == string && self.matches('^[1-9][0-9]{0,3}%$|^[1-9][0-9]{0,14}[KMG]$')",
        PERCENT_OR_SIZE_FORM,
    )
);

impl IntOrPercent {
    /// The value as Kubernetes takes it.
    ///
    /// # Errors
    /// When it is neither a whole number nor a percentage.
    pub fn parse(&self) -> Result<IntOrString, WrongForm> {
        let wrong = WrongForm(SHARE_FORM);
        match &self.0 {
            IntOrText::Int(number) => {
                i32::try_from(*number).ok().filter(|number| *number >= 0).map(IntOrString::Int).ok_or(wrong)
            }
            IntOrText::Text(text) => {
                let number = text.strip_suffix('%').ok_or(wrong)?;
                let is_number = (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
                is_number.then(|| IntOrString::String(text.clone())).ok_or(wrong)
            }
        }
    }
}

impl Percent {
    /// The number of percents; never 0.
    ///
    /// # Errors
    /// When it is no percentage from 1 to 9999.
    pub fn parse(&self) -> Result<i32, WrongForm> {
        let number = match &self.0 {
            IntOrText::Int(number) => {
                u16::try_from(*number).ok().filter(|number| (1..=9999).contains(number))
            }
            IntOrText::Text(text) => text.strip_suffix('%').and_then(percents),
        };
        number.map(i32::from).ok_or(WrongForm(PERCENT_FORM))
    }
}

/// A share of something, or a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// In percent.
    Percent(i32),
    /// In bytes.
    Bytes(u64),
}

impl PercentOrSize {
    /// What it stands for; never 0.
    ///
    /// # Errors
    /// When it is neither a percentage nor a size with its unit.
    pub fn parse(&self) -> Result<Share, WrongForm> {
        let wrong = WrongForm(PERCENT_OR_SIZE_FORM);
        let IntOrText::Text(text) = &self.0 else { return Err(wrong) };
        match text.strip_suffix('%') {
            Some(number) => percents(number).map(i32::from).map(Share::Percent).ok_or(wrong),
            None if text.ends_with(['K', 'M', 'G']) => {
                Size::from(text.as_str()).parse().map(Share::Bytes).map_err(|_| wrong)
            }
            None => Err(wrong),
        }
    }
}

/// One to four digits of a number above zero.
fn percents(digits: &str) -> Option<u16> {
    let all_digits = (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| all_digits && *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_need_their_unit_where_it_could_be_another() {
        assert_eq!(Percent::from("70%").parse(), Ok(70));
        assert_eq!(Percent::from(70).parse(), Ok(70));
        for written in [Percent::from(0), (-1).into(), "0%".into(), "70".into(), "%".into(), "+7%".into()] {
            assert_eq!(written.parse(), Err(WrongForm(PERCENT_FORM)), "{written}");
        }
        assert_eq!(PercentOrSize::from("80%").parse(), Ok(Share::Percent(80)));
        assert_eq!(PercentOrSize::from("300M").parse(), Ok(Share::Bytes(300 << 20)));
        for written in [PercentOrSize::from(300), "300".into(), "0M".into(), "300Mi".into(), "%".into()] {
            assert_eq!(written.parse(), Err(WrongForm(PERCENT_OR_SIZE_FORM)), "{written}");
        }
    }
}
