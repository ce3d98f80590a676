//! Token: a JSON web token in a file, as the kubelet projects it for a service account, and renews it.
//!
//! It is read whenever librdkafka asks for one: when a client is made, and when four fifths of its life are
//! over. Whether its signature is good is for the broker to say. A token is never part of an error.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rdkafka::client::OAuthToken;
use serde::Deserialize;

/// Largest file of a token, in bytes: what brokers take in a request of this kind is less.
const TOKEN_BYTES_MAX: u64 = 1 << 19;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}; {cure}", path = path.display())]
pub(super) struct TokenError {
    path: PathBuf,
    why: String,
    cure: &'static str,
}

/// What is of interest in a token's claims (RFC 7519, section 4.1).
#[derive(Debug, PartialEq, Deserialize)]
struct Claims {
    /// Whose it is.
    sub: Option<String>,
    /// When it ends, in seconds since 1970.
    exp: Option<f64>,
}

/// Reads the token in a file.
///
/// # Errors
/// If the file cannot be read, or holds no token that says whose it is and when it ends.
pub(super) fn read(path: &Path) -> Result<OAuthToken, TokenError> {
    let error = |why: String, cure| TokenError { path: path.to_path_buf(), why, cure };
    let text = text(path).map_err(|it| {
        error(format!("the token cannot be read: {it}"), "check tokenFile and its permissions")
    })?;
    let token = text.trim().to_owned();
    let cure = "have a JWT with `sub` and `exp` written there";
    let claims = claims(&token).map_err(|it| error(format!("no token: {it}"), cure))?;
    let (Some(subject), Some(end_s)) = (claims.sub, claims.exp) else {
        return Err(error("the token does not say whose it is, or when it ends".to_owned(), cure));
    };
    #[expect(clippy::cast_possible_truncation, reason = "saturates, for a token without an end")]
    let lifetime_ms = (end_s * 1000.0) as i64;
    Ok(OAuthToken { token, principal_name: subject, lifetime_ms })
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // One byte more than allowed, so that a longer file shows.
    File::open(path)?.take(TOKEN_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > TOKEN_BYTES_MAX {
        return Err(io::Error::other(format!("larger than {TOKEN_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// The claims of `HEADER.CLAIMS.SIGNATURE`.
fn claims(token: &str) -> Result<Claims, &'static str> {
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("not three parts with dots between");
    };
    let bytes = base64url(claims).ok_or("its claims are not in base 64")?;
    // The error of the parser would quote from it.
    serde_json::from_slice(&bytes).map_err(|_| "its claims are not JSON")
}

/// Undoes base 64 for URLs without padding (RFC 4648, section 5).
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for &byte in group {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'-' => 62,
                b'_' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        // 4 letters are 3 bytes, 3 are 2, 2 are 1; 1 is none.
        let count = group.len().checked_sub(1).filter(|it| *it > 0)?;
        let aligned = bits << (6 * (4 - group.len()) + 8);
        bytes.extend(&aligned.to_be_bytes()[..count]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use kafka_kit::unsecured_token;

    use super::*;

    fn read_text(text: &str) -> Result<OAuthToken, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, text).unwrap();
        read(&path).map_err(|it| it.to_string())
    }

    #[test]
    fn a_token_says_whose_it_is_and_when_it_ends() {
        for subject in ["a", "ab", "abc", "system:serviceaccount:logs:ferry"] {
            let text = unsecured_token(subject, 1_000, 2_000_000_000);
            let token = read_text(&format!("{text}\n")).unwrap();
            assert_eq!(token.token, text);
            assert_eq!(token.principal_name, subject);
            assert_eq!(token.lifetime_ms, 2_000_000_000_000);
        }
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_shown() {
        let secret = "c2VjcmV0";
        for (text, why) in [
            (String::new(), "three parts"),
            (secret.to_owned(), "three parts"),
            (format!("a.{secret}.b.c"), "three parts"),
            (format!("a.{secret}!.b"), "base 64"),
            (format!("a.{secret}x.b"), "base 64"),
            (format!("a.{secret}.b"), "not JSON"),
            // {"sub":"s"}
            (format!("{secret}.eyJzdWIiOiJzIn0.b"), "when it ends"),
        ] {
            let error = read_text(&text).err().unwrap();
            assert!(error.contains(why) && error.contains("token: "), "{text}: {error}");
            assert!(!error.contains(secret) && !error.contains("secret"), "{error}");
        }
        let error = read(Path::new("/nowhere/token")).err().unwrap().to_string();
        assert!(error.starts_with("/nowhere/token: ") && error.contains("tokenFile"), "{error}");
    }
}
