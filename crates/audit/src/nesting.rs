//! The parser goes one call deeper for every level of nesting, and a stack that is full ends the whole process.
//! So no text is parsed that could be nested more deeply than the stack allows.

/// Stack of each thread that parses; memory is used only as deep as a file really is.
pub(crate) const STACK: usize = 512 << 20;
/// More than any construct was seen to take per byte of source (1.8 kB for `(`; debug builds take more).
const PER_BYTE: usize = if cfg!(debug_assertions) { 16 << 10 } else { 2 << 10 };
/// Files up to this length cannot overflow the stack, whatever is in them.
const SAFE: usize = STACK / PER_BYTE;
/// Levels that are allowed in longer files; code written by people has less than a hundred.
const LEVELS: usize = 5_000;
/// `a<b<c<…`: the parser tries each as the type arguments of a call, and takes the square of the number.
const ANGLES: usize = 500;

/// Why a text is not parsed.
pub(crate) fn refused(text: &str) -> Option<&'static str> {
    let bytes = text.as_bytes();
    if angles(bytes) > ANGLES {
        return Some("too many `<` in one expression to be parsed in reasonable time");
    }
    if bytes.len() > SAFE && depth(bytes) > LEVELS {
        return Some(
            "nested more than 5,000 levels deep; only generated code is. Leave it out by .gitignore or .ignore",
        );
    }
    None
}

/// The most `<` between two characters that end an expression.
fn angles(bytes: &[u8]) -> usize {
    let mut most = 0;
    let mut now = 0;
    for byte in bytes {
        match byte {
            b'<' => now += 1,
            b'>' | b';' | b'{' | b'}' | b'(' | b')' | b'/' => now = 0,
            _ => {}
        }
        most = most.max(now);
    }
    most
}

/// An upper bound for brackets that are open at once, and for operators in one expression. Brackets in texts
/// and comments count too: what closes too much does not go below zero.
fn depth(bytes: &[u8]) -> usize {
    let mut most: usize = 0;
    let mut open: usize = 0;
    let mut chain: usize = 0;
    for byte in bytes {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b'!' | b'~' | b'+' | b'-' | b'=' | b'?' | b':' | b'.' | b'*' | b'&' | b'|' | b'^' | b'%'
            | b'`' => {
                chain += 1;
            }
            b';' | b',' => chain = 0,
            _ => {}
        }
        // An operator takes a tenth of what a bracket takes.
        most = most.max(open + chain / 10);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_with_deep_brackets_is_refused_and_a_short_one_cannot_overflow() {
        assert_eq!(refused(&"(".repeat(1000)), None);
        assert!(refused(&"(".repeat(SAFE + 1)).is_some());
        assert_eq!(refused(&"f(a);\n".repeat(SAFE)), None);
    }

    #[test]
    fn comparisons_of_a_real_program_are_no_chain() {
        assert_eq!(refused(&"for (let i = 0; i < n; i++) {}\n".repeat(2000)), None);
        assert!(refused(&"a<".repeat(2000)).is_some());
    }
}
