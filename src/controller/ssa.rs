//! Server-side apply on the wire. The API server reads its body as YAML, which is more
//! than JSON in all but a few characters: some it refuses, and some it takes for the end
//! of a line and turns into a blank. Escaped, all of them arrive as they were written.

use std::fmt::{Debug, Write as _};

use kube::api::{Patch, PatchParams};
use kube::core::Request;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::names::{MANAGER, REPLICAS_MANAGER};

/// What is written: an object, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The object without its status.
    Object,
    /// The number of a Deployment's pods, where it is not part of the object: under a name
    /// of its own.
    Replicas,
    /// The status alone.
    Status,
}

impl Part {
    const fn manager(self) -> &'static str {
        match self {
            Self::Object | Self::Status => MANAGER,
            Self::Replicas => REPLICAS_MANAGER,
        }
    }
}

/// Applies an object under the operator's name, and takes over what others have set.
///
/// # Errors
/// What the API server says, or the way to it.
pub async fn apply<K, B>(
    client: &Client,
    api: &Api<K>,
    name: &str,
    part: Part,
    body: &B,
) -> Result<K, kube::Error>
where
    K: Resource + Clone + Debug + DeserializeOwned,
    B: Serialize + Debug,
{
    let params = PatchParams::apply(part.manager()).force();
    client.request(request(api.resource_url(), name, part, &params, body)?).await
}

/// Asks whether an object would be taken; nothing is written.
///
/// # Errors
/// What the API server says, or the way to it.
pub async fn try_out<K, B>(client: &Client, api: &Api<K>, name: &str, body: &B) -> Result<(), kube::Error>
where
    K: Resource + Clone + Debug + DeserializeOwned,
    B: Serialize + Debug,
{
    let params = PatchParams { dry_run: true, ..PatchParams::apply(MANAGER).force() };
    let request = request(api.resource_url(), name, Part::Object, &params, body)?;
    client.request::<K>(request).await.map(drop)
}

/// The request of an apply.
///
/// # Errors
/// The name or the body can be no part of a request.
pub fn request<B: Serialize + Debug>(
    url: &str,
    name: &str,
    part: Part,
    params: &PatchParams,
    body: &B,
) -> Result<http::Request<Vec<u8>>, kube::Error> {
    let request = Request::new(url);
    let request = match part {
        Part::Object | Part::Replicas => request.patch(name, params, &Patch::Apply(body)),
        Part::Status => request.patch_subresource("status", name, params, &Patch::Apply(body)),
    };
    Ok(request.map_err(kube::Error::BuildRequest)?.map(escaped))
}

/// JSON without what YAML reads otherwise. Such characters stand in texts alone, where
/// an escape means the same.
fn escaped(json: Vec<u8>) -> Vec<u8> {
    let text = match String::from_utf8(json) {
        Ok(text) if text.chars().any(is_special) => text,
        Ok(text) => return text.into_bytes(),
        Err(other) => return other.into_bytes(),
    };
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_special(letter) {
            // Into a text, which takes everything.
            let _ = write!(safe, "\\u{:04x}", u32::from(letter));
        } else {
            safe.push(letter);
        }
    }
    safe.into_bytes()
}

/// Controls beyond those of ASCII, ends of lines, marks of byte order, and what is no
/// character.
const fn is_special(letter: char) -> bool {
    matches!(letter, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_yaml_reads_otherwise_is_escaped_and_nothing_else() {
        let json = |text: &str| serde_json::to_vec(text).unwrap();
        assert_eq!(escaped(json("ä€𝄞\n\"")), json("ä€𝄞\n\""));
        assert_eq!(escaped(json("a\u{85}b\u{2028}\u{7f}")), br#""a\u0085b\u2028\u007f""#);
    }

    proptest! {
        #[test]
        fn any_text_arrives_as_it_was_written(text in any::<String>(), special in "[\u{7f}-\u{9f}\u{2028}\u{feff}]*") {
            let value = Value::from(text + &special);
            let body = escaped(serde_json::to_vec(&value).unwrap());
            prop_assert!(!std::str::from_utf8(&body).unwrap().chars().any(is_special));
            prop_assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), value);
        }
    }
}
