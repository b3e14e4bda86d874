//! A server's first words: a question on a fresh connection, answered only by one that is ready.

use super::fill;

/// A few bytes to send and a few to expect. It costs no program, so it can be asked often; and unlike an
/// accepted connection, which a proxy may have accepted, an answer comes from the server itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handshake {
    /// What is sent, one character a byte; holds `{admin}` and `{admin_password}`. Nothing where the server speaks first.
    pub send: String,
    /// How many bytes of the answer say nothing.
    pub skip: usize,
    /// How the answer goes on, one character a byte, when the server is ready.
    pub expect: String,
}

/// What the bytes that came so far say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The server is ready.
    Yes,
    /// It says something else.
    No,
    /// Too few to tell.
    More,
}

impl Handshake {
    /// The bytes to send.
    #[must_use]
    pub fn request(&self, values: &[(&str, &str)]) -> Vec<u8> {
        bytes(&fill(&self.send, values))
    }

    /// What the bytes that came so far say.
    #[must_use]
    pub fn judge(&self, answer: &[u8]) -> Answer {
        let expected = bytes(&self.expect);
        let said = answer.get(self.skip..).unwrap_or_default();
        if said.starts_with(&expected) {
            Answer::Yes
        } else if expected.starts_with(said) {
            Answer::More
        } else {
            Answer::No
        }
    }
}

/// One byte a character: what YAML writes as `"\xff"` is the byte 255. Other characters have no byte and are left out;
/// the decoder has refused them.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_as_soon_as_it_can_be() {
        let handshake = Handshake { send: "hello {admin}\u{ff}".into(), skip: 2, expect: "ok".into() };
        assert_eq!(handshake.request(&[("admin", "root")]), b"hello root\xff");
        for (answer, judged) in [
            ("", Answer::More),
            ("xy", Answer::More),
            ("xyo", Answer::More),
            ("xyok", Answer::Yes),
            ("xyok and more", Answer::Yes),
            ("xyno", Answer::No),
        ] {
            assert_eq!(handshake.judge(answer.as_bytes()), judged, "{answer}");
        }
    }
}
