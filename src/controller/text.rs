//! Texts of others in places that take only so much.

/// At most `longest` bytes of a text, cut at the border of a character; what was cut
/// is marked.
pub(super) fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let room = longest.saturating_sub('…'.len_utf8());
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_cut_fits_and_stays_text(text in ".{0,2000}", longest in 3_usize..1_500) {
            let cut = cut(&text, longest);
            prop_assert!(cut.len() <= longest);
            prop_assert!(text.len() > longest || cut == text);
            prop_assert!(cut == text || text.starts_with(cut.trim_end_matches('…')));
        }
    }
}
